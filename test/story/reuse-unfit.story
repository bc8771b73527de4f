story "an idle connection that its connector no longer trusts closes and is not handed out"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+1ms    #1 unfit
+1ms    c2 acquires k              -> close #1 hangup, dial #2
+1ms    #1 down, #2 up             -> c2 holds #2
