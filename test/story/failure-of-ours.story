story "that we have no descriptor left takes no key down"

pool api   jitter 0   failures_max 2   down_for 60s

0       c1 acquires k              -> dial #1
+5ms    #1 down files              -> event connection_error k, c1 fails WEIR_EFILES
expect  key k state backing_off failures 0 retry_after 1000
+1s     c2 acquires k              -> dial #2
+5ms    #2 down memory             -> event connection_error k, c2 fails WEIR_ENOMEM
+1s     c3 acquires k              -> dial #3
+5ms    #3 down refused            -> event connection_error k, c3 fails WEIR_EREFUSED
+1s     c4 acquires k              -> dial #4
+5ms    #4 down refused            -> event key_down k, c4 fails WEIR_EREFUSED
+60s    c5 acquires k              -> dial #5
+5ms    #5 down files              -> event key_down k, c5 fails WEIR_EFILES
+1s     c6 acquires k              -> dial #6          # a trial again, and soon
+5ms    #6 up                      -> event key_up k, c6 holds #6
