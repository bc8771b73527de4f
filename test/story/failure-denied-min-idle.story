story "who is denied is asked again because somebody asks, never to keep connections ready"      # requirement 000

pool api   min_idle 2   jitter 0   down_for 60s   on_dial_error fail

0       c1 acquires k              -> dial #1
+5ms    #1 down denied             -> event key_down k, c1 fails WEIR_EDENIED
+60s    nothing happens            -> nothing
+60s    nothing happens            -> nothing
+1s     c2 acquires k              -> dial #2
+5ms    #2 down denied             -> event key_down k, c2 fails WEIR_EDENIED
+60s    nothing happens            -> nothing
+1s     c3 acquires k              -> dial #3
+5ms    #3 up                      -> event key_up k, c3 holds #3, dial #4
