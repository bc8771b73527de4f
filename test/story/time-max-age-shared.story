story "a connection of many leases, never without one, is replaced all the same when it grows too old"

pool api   max_age 1m   jitter 0   streams_conns_max 2

0       c1 acquires k              -> dial #1
+10ms   #1 up 10                   -> c1 holds #1
+30s    c2 acquires k              -> c2 holds #1 reused
+1ms    c1 releases #1             -> nothing
+30s    nothing happens            -> dial #2
+1ms    c3 acquires k              -> c3 holds #1 reused
+1ms    #2 up 10                   -> #2 idle
+1ms    c4 acquires k              -> c4 holds #2
+1ms    c2 releases #1             -> nothing
+1ms    c3 releases #1             -> close #1 age
