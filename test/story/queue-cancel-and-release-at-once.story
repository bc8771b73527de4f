story "released and canceled in the same instant: the next one is served, nobody is forgotten"

pool api   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires k, c3 acquires k
+1ms    c1 releases #1, c2 cancels -> c2 fails WEIR_ECANCELED, c3 holds #1
