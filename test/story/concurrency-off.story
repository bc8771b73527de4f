story "adaptive concurrency can be turned on and off under way"

pool api   max_age never

0       c1 acquires k, c2 acquires k   -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1ms    api updates concurrency gradient2 concurrency_first 1 concurrency_min 1 -> event config_changed
+1ms    c3 acquires k
+1ms    c1 releases #1             -> #1 idle           # one is still held
expect  waiting 1   concurrency 1
+1ms    api updates concurrency off    -> c3 holds #1, event config_changed
expect  waiting 0   concurrency 0
