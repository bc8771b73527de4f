story "who is denied is not asked again: one dial, and the key is down"      # requirement 000

pool api   profile openclaw   jitter 0   down_for 60s

0       c1 acquires k, c2 acquires k   -> dial #1
+5ms    #1 down denied             -> event key_down k, c1 fails WEIR_EDOWN, c2 fails WEIR_EDOWN
expect  key k state down failures 1 error denied
+1s     c3 acquires k              -> c3 fails WEIR_EDOWN
+58s    nothing happens            -> nothing
+1s     c4 acquires k              -> dial #2          # the hold-down is over: one more, as somebody asks
+5ms    #2 down denied             -> event key_down k, c4 fails WEIR_EDOWN
+60s    nothing happens            -> nothing
+1ms    c5 acquires k              -> dial #3
+5ms    #3 up                      -> event key_up k, c5 holds #3
