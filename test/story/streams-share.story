story "a connection with room for many carries many"

pool api   max_per_key 2

0       c1 acquires k              -> dial #1
+1ms    #1 up 3                    -> c1 holds #1
+1ms    c2 acquires k              -> c2 holds #1
expect  #1 state shared leases 2
+1ms    c3 acquires k              -> c3 holds #1
expect  #1 state active leases 3
+1ms    c1 releases #1
expect  #1 state shared leases 2
+1ms    c2 releases #1, c3 releases #1   -> #1 idle
