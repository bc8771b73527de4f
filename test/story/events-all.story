story "every event that the core tells in a connection's life"

engine   events all
pool api   max_per_key 1   idle_timeout 1s

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1, event connection_added k #1
+1ms    c1 releases #1             -> #1 idle, event connection_returned k #1
+1ms    c2 acquires k              -> c2 holds #1, event connection_reused k #1
+1ms    c3 acquires k              -> event pool_limit_reached k
+1ms    c2 releases #1             -> c3 holds #1, event connection_returned k #1, event connection_reused k #1
+1ms    c3 releases #1             -> #1 idle, event connection_returned k #1
+1s     nothing happens            -> close #1 timeout, event connection_timeout k #1 timeout
+1ms    #1 down                    -> event connection_removed k #1 timeout
