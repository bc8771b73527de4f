story "another answer than the last one ends the hold-down"

pool api   failures_max 1   down_for 1m

0       c1 acquires k              -> dial #1 k
+5ms    api resolves k 7           -> nothing
+5ms    #1 down refused            -> event key_down k #1 refused, c1 fails WEIR_EREFUSED
+5ms    api resolves k 7           -> nothing
+5ms    c2 acquires k              -> c2 fails WEIR_EDOWN
+5ms    api resolves k 8           -> event key_up k address
+5ms    c3 acquires k              -> dial #2 k
