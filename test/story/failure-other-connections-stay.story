story "a key that fails to dial still serves from the connections it has"

pool api   jitter 0   max_per_key 2

0       c1 acquires k              -> dial #1
+5ms    #1 up                      -> c1 holds #1
+5ms    c2 acquires k              -> dial #2
+5ms    #2 down refused            -> event connection_error k
expect  waiting 1
+5ms    c1 releases #1             -> c2 holds #1
