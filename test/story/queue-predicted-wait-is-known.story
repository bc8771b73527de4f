story "a burst is not refused while others' idle connections may make room for it"

pool api   max_total 3   acquire_timeout 30s   max_age never

0       c1 acquires k              -> dial #1 k
+1ms    #1 up                      -> c1 holds #1
+200s   c1 releases #1             -> #1 idle           # 200 s, and 0 s before: 25 s on average
+1ms    c2 acquires l              -> dial #2 l
+1ms    #2 up                      -> c2 holds #2
+1ms    c3 acquires l, c4 acquires l   -> dial #3 l, close #1 evicted
+1ms    #1 down                    -> dial #4 l
+1ms    #3 up, #4 up               -> c3 holds #3, c4 holds #4
+1ms    c2 releases #2             -> #2 idle
+1ms    c3 releases #3             -> #3 idle
+1ms    c4 releases #4             -> #4 idle
+1ms    c5 acquires k, c6 acquires k, c7 acquires k   -> close #2 evicted
expect  refused.wait_too_long 0   waiting 3
+1ms    #2 down                    -> dial #5 k, close #3 evicted
+1ms    #3 down, #5 up             -> dial #6 k, c5 holds #5, close #4 evicted
+1ms    #4 down, #6 up             -> dial #7 k, c6 holds #6
+1ms    #7 up                      -> c7 holds #7
