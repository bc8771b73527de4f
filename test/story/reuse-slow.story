story "the newest is passed over while it answers half as slow again as the best of its key"

pool api   idle_timeout 5m

0       c1 acquires k, c2 acquires k   -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1ms    #1 answers 10ms, #1 answers 10ms, #1 answers 10ms, #1 answers 10ms, #1 answers 10ms
+1ms    #2 answers 40ms, #2 answers 40ms, #2 answers 40ms, #2 answers 40ms
+1ms    c1 releases #1             -> #1 idle
+1ms    c2 releases #2             -> #2 idle
+1ms    c3 acquires k              -> c3 holds #2       # four answers say nothing yet
+1ms    #2 answers 40ms, c3 releases #2 -> #2 idle
+1ms    c4 acquires k              -> c4 holds #1
+1ms    c5 acquires k              -> c5 holds #2       # slow is better than not yet there
expect  explains k slow
