story "where there is no probe, a connection of unknown state closes"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1, unknown    -> close #1
