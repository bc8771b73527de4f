story "an endpoint that answers slower than it used to is given fewer requests at once"

pool api   concurrency gradient2   concurrency_first 40   max_age never

0       c1 acquires k              -> dial #1
+1ms    #1 up 100                  -> c1 holds #1
+1ms    #1 answers 10ms            -> nothing
+1ms    c2 acquires k, c3 acquires k, c4 acquires k, c5 acquires k, c6 acquires k, c7 acquires k, c8 acquires k, c9 acquires k, c10 acquires k -> c2 holds #1, c3 holds #1, c4 holds #1, c5 holds #1, c6 holds #1, c7 holds #1, c8 holds #1, c9 holds #1, c10 holds #1
+300ms  c1 releases #1, c2 releases #1, c3 releases #1, c4 releases #1, c5 releases #1, c6 releases #1, c7 releases #1, c8 releases #1, c9 releases #1, c10 releases #1 -> #1 idle
expect  concurrency 40                                  # not half used: nothing is learned of more
+1ms    c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k, c5 acquires k, c6 acquires k, c7 acquires k, c8 acquires k, c9 acquires k, c10 acquires k -> c1 holds #1, c2 holds #1, c3 holds #1, c4 holds #1, c5 holds #1, c6 holds #1, c7 holds #1, c8 holds #1, c9 holds #1, c10 holds #1
+1ms    #1 answers 900ms           -> nothing
+300ms  c1 releases #1, c2 releases #1, c3 releases #1, c4 releases #1, c5 releases #1, c6 releases #1, c7 releases #1, c8 releases #1, c9 releases #1, c10 releases #1 -> #1 idle
expect  concurrency 38
