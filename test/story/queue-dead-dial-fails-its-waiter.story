story "a failed dial at once fails the waiter that nothing else will serve"

pool api   max_per_key 4   jitter 0

0       c0 acquires k              -> dial #1
+5ms    #1 up                      -> c0 holds #1
+5ms    c1 acquires k, c2 acquires k   -> dial #2, dial #3
+5ms    c0 releases #1, broken     -> close #1
+5ms    #1 down
+5ms    #2 down refused            -> event connection_error k, c2 fails WEIR_EREFUSED
expect  waiting 1                                   # the other dial will serve c1
+5ms    #3 up                      -> c1 holds #3
