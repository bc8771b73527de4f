story "a flush of one key leaves the others"

pool api

0       c1 acquires k, c2 acquires l   -> dial #1 k, dial #2 l
+1ms    #1 up, #2 up               -> c1 holds #1, c2 holds #2
+1ms    c1 releases #1, c2 releases #2   -> #1 idle, #2 idle
+1ms    api flushes k              -> close #1 flushed
expect  idle 1   closing 1
