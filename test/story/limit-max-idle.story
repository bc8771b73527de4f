story "more idle connections than wanted are closed when they are released"

pool api   max_idle 1

0       c1 acquires k, c2 acquires k   -> dial #1      # one at a time, until one has succeeded
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1ms    c1 releases #1             -> #1 idle
+1ms    c2 releases #2             -> close #1 surplus, #2 idle
+1ms    #1 down
expect  idle 1   total 1   closed.surplus 1
