story "a connection that has served as often as it may retires"

pool api   max_uses 2

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+1ms    c2 acquires k              -> c2 holds #1
+1ms    c2 releases #1             -> close #1 uses
expect  closed 0   closing 1
+1ms    #1 down
expect  closed.uses 1
