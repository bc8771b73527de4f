story "a newcomer does not overtake even where a connection is idle that the first in the queue will not have"

pool api   max_per_key 2

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+1ms    c2 acquires k fresh        -> dial #2
+1ms    c3 tries k                 -> c3 fails WEIR_EAGAIN
+1ms    #2 up                      -> c2 holds #2
+1ms    c3 tries k                 -> c3 holds #1
