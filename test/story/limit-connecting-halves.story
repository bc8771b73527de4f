story "a failure halves the dials that may be under way"

pool api   max_per_key 20   connecting_max 4   jitter 0   on_dial_error wait   failures_max 9

0       c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k, c5 acquires k, c6 acquires k, c7 acquires k   -> dial #1
+5ms    #1 up                      -> c1 holds #1, dial #2, dial #3
+5ms    #2 up                      -> c2 holds #2, dial #4, dial #5, dial #6
+5ms    #3 down refused            -> event connection_error k
+5ms    #4 up                      -> c3 holds #4, dial #7, dial #8      # up again: the pause is forgotten
expect  dialling 4   waiting 4
