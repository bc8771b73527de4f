story "at the limit the longest-idle connection of another key gives way"      # requirement 000, TC-010

pool api   max_total 2

0       c1 acquires k, c2 acquires l   -> dial #1 k, dial #2 l
+10ms   #1 up, #2 up               -> c1 holds #1, c2 holds #2
+10ms   c1 releases #1             -> #1 idle
+10ms   c2 releases #2             -> #2 idle
+10ms   c3 acquires m              -> close #1 evicted      # the older of the two
expect  total 2   waiting 1
+5ms    #1 down                    -> dial #3 m
+5ms    #3 up                      -> c3 holds #3
expect  total 2   evicted 1   closed.evicted 1
