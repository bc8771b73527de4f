story "a trial that fails holds the key down again"

pool api   jitter 0   failures_max 1   down_for 10s

0       c1 acquires k              -> dial #1
+5ms    #1 down refused            -> event key_down k, c1 fails WEIR_EREFUSED
+10s    c2 acquires k              -> dial #2
+5ms    #2 down refused            -> event key_down k, c2 fails WEIR_EREFUSED
+9s     c3 acquires k              -> c3 fails WEIR_EDOWN
+1s     c4 acquires k              -> dial #3
+5ms    #3 up                      -> event key_up k, c4 holds #3
