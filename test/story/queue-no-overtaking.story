story "a newcomer never overtakes: try_acquire says again while somebody waits"

pool api   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires k
+1ms    c1 releases #1, c3 tries k -> c3 fails WEIR_EAGAIN, c2 holds #1
