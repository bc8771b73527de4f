story "an engine that is full closes a pool's longest idle connection for another key of that pool"

engine   conns_max 2
pool api   max_total 10

0       c1 acquires k, c2 acquires l   -> dial #1 k, dial #2 l
+1ms    #1 up, #2 up               -> c1 holds #1, c2 holds #2
+1ms    c2 releases #2             -> #2 idle
+1ms    c3 acquires m              -> close #2 evicted
+1ms    #2 down                    -> dial #3 m
