story "a connection that takes no more leases is no reason to wait: the next one is dialled while it finishes"

pool api   streams_conns_max 1

0       c1 acquires k              -> dial #1
+1ms    #1 up 100                  -> c1 holds #1
+1ms    #1 room 0
+1ms    c2 acquires k              -> dial #2
+1ms    #2 up 100                  -> c2 holds #2
+1ms    c1 releases #1             -> close #1 goaway
