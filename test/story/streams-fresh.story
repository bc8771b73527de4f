story "a caller that wants a fresh connection gets one, however many shared ones there are"

pool api   streams_conns_max 1

0       c1 acquires k              -> dial #1
+1ms    #1 up 100                  -> c1 holds #1
+1ms    c2 acquires k fresh        -> dial #2
+1ms    #2 up 100                  -> c2 holds #2
