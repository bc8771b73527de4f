story "the connection that has served least, where the pool says so"

pool api   reuse fewest

0       c1 acquires k, c2 acquires k   -> dial #1      # one at a time, until one has succeeded
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1s     c1 releases #1             -> #1 idle
+1s     c3 acquires k              -> c3 holds #1
+1s     c2 releases #2             -> #2 idle
+1s     c3 releases #1             -> #1 idle           # twice, and the newest
+1s     c4 acquires k              -> c4 holds #2
