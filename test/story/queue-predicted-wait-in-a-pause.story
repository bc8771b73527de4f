story "in a pause between dials nobody is refused for what the key has not got: more may come than it had"

pool api   jitter 0   on_dial_error wait   failures_max 9   retry_first 20s   retry_cap 20s   acquire_timeout 60s   max_age never

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+200s   c1 releases #1             -> #1 idle           # 200 s, and 0 s before: 25 s on average
+1ms    #1 down hangup             -> nothing
+1ms    c2 acquires k              -> dial #2
+1ms    #2 down refused            -> event connection_error k
+20s    nothing happens            -> dial #3
+1ms    #3 down refused            -> event connection_error k
+10s    c3 acquires k, c4 acquires k, c5 acquires k within 5s   -> c5 fails WEIR_EWAIT   # before the pause is over
expect  refused.wait_too_long 1   waiting 3
+10s    nothing happens            -> dial #4
+1ms    #4 up                      -> c2 holds #4, dial #5, dial #6
+1ms    #5 up, #6 up               -> c3 holds #5, c4 holds #6
