story "a waiter takes what comes first: a dial that somebody else began"

pool api   max_per_key 4

0       c0 acquires k              -> dial #1
+1ms    #1 up                      -> c0 holds #1
+1ms    c1 acquires k              -> dial #2
+1ms    c2 acquires k              -> dial #3
+1ms    #3 up                      -> c1 holds #3      # first come, first served
+1ms    #2 up                      -> c2 holds #2
