story "an output that nobody expects"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up
# says: :6: happened, but was not expected: c1 holds #1
