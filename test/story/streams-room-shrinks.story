story "the peer allows fewer streams: no new ones until there is room again"

pool api   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    #1 up 3                    -> c1 holds #1
+1ms    c2 acquires k              -> c2 holds #1
+1ms    #1 room 1
expect  #1 state active leases 2
+1ms    c3 acquires k              -> nothing
+1ms    c1 releases #1             -> nothing
+1ms    c2 releases #1             -> c3 holds #1
