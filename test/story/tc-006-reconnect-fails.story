story "three failures in a row take a key down; one dial at a time brings it back"   # TC-006, requirement 004

pool api   retry_first 1s   failures_max 3   down_for 60s   jitter 0   on_dial_error wait

0       c1 acquires k              -> dial #1
+5ms    #1 down connect            -> event connection_error k
+1s     nothing happens            -> dial #2
+5ms    #2 down connect            -> event connection_error k
+2s     nothing happens            -> dial #3
+5ms    #3 down connect            -> event key_down k, c1 fails WEIR_EDOWN
expect  key k state down failures 3 error connect
expect  keys_down 1   failed 3   failed.connect 3
+1s     c2 acquires k              -> c2 fails WEIR_EDOWN
+59s    c3 acquires k, c4 acquires k   -> dial #4          # half-open: a single dial
expect  key k state trial
+8ms    #4 up                      -> event key_up k, c3 holds #4, dial #5
expect  key k state up failures 0
