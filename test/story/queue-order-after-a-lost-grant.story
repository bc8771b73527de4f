story "served, and the connection lost before the caller knew: everybody is back in the place he had"

pool api   max_per_key 2   reconnect lazy

0       c1 acquires k, c2 acquires k   -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1ms    c3 acquires k, c4 acquires k, c5 acquires k
+1ms    c1 releases #1, c2 releases #2, #1 down, #2 down   -> dial #3, dial #4
+1ms    #3 up                      -> c3 holds #3
+1ms    #4 up                      -> c4 holds #4
+1ms    c4 releases #4             -> c5 holds #4
