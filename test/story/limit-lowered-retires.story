story "a lowered limit acts at once: idle connections above it close, leased ones when released"

pool api   max_total 4

0       c1 acquires k, c2 acquires k, c3 acquires k   -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2, dial #3
+1ms    #2 up, #3 up               -> c2 holds #2, c3 holds #3
+1ms    c1 releases #1             -> #1 idle
+1ms    api updates max_total 1    -> event config_changed, close #1 surplus
+1ms    #1 down
+1ms    c2 releases #2             -> close #2 surplus
+1ms    #2 down
+1ms    c3 releases #3             -> #3 idle
expect  total 1   idle 1
