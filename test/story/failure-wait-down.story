story "a caller that says so waits even while the key is down"

pool api   jitter 0   failures_max 1   down_for 10s

0       c1 acquires k              -> dial #1
+5ms    #1 down refused            -> event key_down k, c1 fails WEIR_EREFUSED
+1s     c2 acquires k wait_down    -> nothing
+9s     nothing happens            -> dial #2           # the trial
+5ms    #2 up                      -> event key_up k, c2 holds #2
