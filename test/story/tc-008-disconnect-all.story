story "a flush closes all that is idle at once and the rest when it is free; the pool stays open"      # TC-008

pool api   profile openclaw   max_per_key 2

0       c1 acquires k, c2 acquires l, c3 acquires m   -> dial #1 k, dial #2 l, dial #3 m
+10ms   #1 up, #2 up, #3 up        -> c1 holds #1, c2 holds #2, c3 holds #3
+5ms    c1 releases #1, c2 releases #2   -> #1 idle, #2 idle
+1s     api flushes grace 30s      -> close #1 flushed, close #2 flushed
+5ms    #1 down, #2 down
expect  total 1   active 1
+1s     c3 releases #3, keep       -> close #3 flushed
+5ms    #3 down
expect  total 0   closed 3   closed.flushed 3
+1s     c4 acquires k              -> dial #4
