story "a wait that cannot end in time is refused at once"

pool api   max_per_key 1   acquire_timeout 30s   max_age never

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+80s    c1 releases #1             -> #1 idle           # 80 s, and 0 s before: 10 s on average
+1ms    c2 acquires k              -> c2 holds #1
+1ms    c3 acquires k within 15s
+1ms    c4 acquires k within 5s    -> c4 fails WEIR_EWAIT
expect  refused.wait_too_long 1   waiting 1
