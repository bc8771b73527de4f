story "every lease has a connection of its own, where the pool says so"

pool api   reuse never

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1, keep       -> close #1 uses
+1ms    c2 acquires k              -> dial #2
