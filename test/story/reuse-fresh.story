story "a caller that wants a fresh connection never gets a used one"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+1ms    c2 acquires k fresh        -> dial #2
+1ms    #2 up                      -> c2 holds #2
expect  reused 0
