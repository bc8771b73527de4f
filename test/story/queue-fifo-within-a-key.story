story "waiters of a key are served in the order they came"

pool api   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires k
+1ms    c3 acquires k
+1ms    c1 releases #1             -> c2 holds #1
+1ms    c2 releases #1             -> c3 holds #1
+1ms    c3 releases #1             -> #1 idle
