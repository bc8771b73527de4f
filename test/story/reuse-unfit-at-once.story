story "a connection that was used is asked for its fitness, even in the millisecond in which it came up"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+0      c1 releases #1             -> #1 idle
+0      #1 unfit
+0      c2 acquires k              -> close #1 hangup, dial #2
