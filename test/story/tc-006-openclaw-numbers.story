story "openclaw: retries after 1, 2 and 4 s, down at the fourth failure"      # requirement 000, TC-006

pool api   profile openclaw   jitter 0

0       c1 acquires k within 1m    -> dial #1
+5ms    #1 down refused            -> event connection_error k
+1s     nothing happens            -> dial #2
+5ms    #2 down refused            -> event connection_error k
+2s     nothing happens            -> dial #3
+5ms    #3 down refused            -> event connection_error k
+3999ms nothing happens            -> nothing
+1ms    nothing happens            -> dial #4
+5ms    #4 down refused            -> event key_down k, c1 fails WEIR_EDOWN
expect  key k state down failures 4 error refused
