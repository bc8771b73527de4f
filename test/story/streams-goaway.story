story "after GOAWAY a connection takes no new leases and closes when the last ends"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up 100                  -> c1 holds #1
+1ms    #1 room 0
+1ms    c2 acquires k              -> dial #2
+1ms    #2 up 100                  -> c2 holds #2
+1ms    c1 releases #1             -> close #1 goaway
