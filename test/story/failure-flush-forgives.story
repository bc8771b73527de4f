story "a flush forgets back-off and hold-down"

pool api   jitter 0   failures_max 1   down_for 60s

0       c1 acquires k              -> dial #1
+5ms    #1 down refused            -> event key_down k, c1 fails WEIR_EREFUSED
+1s     api flushes k              -> event key_up k
+1s     c2 acquires k              -> dial #2
