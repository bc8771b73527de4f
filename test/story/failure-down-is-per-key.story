story "a key that is down does not take others with it"

pool api   jitter 0   failures_max 1

0       c1 acquires k              -> dial #1 k
+5ms    #1 down refused            -> event key_down k, c1 fails WEIR_EREFUSED
+5ms    c2 acquires k, c3 acquires l   -> c2 fails WEIR_EDOWN, dial #2 l
