story "a burst of dials does not become a burst of closes: retirements are max_age / size apart"

pool api   max_age 1m   jitter 0   max_per_key 2   idle_timeout 10m

0       c1 acquires k, c2 acquires k   -> dial #1
+10ms   #1 up                      -> c1 holds #1, dial #2
+10ms   #2 up                      -> c2 holds #2
+10s    c1 releases #1, c2 releases #2   -> #1 idle, #2 idle
1m10ms  nothing happens            -> close #1 age
+1ms    #1 down
+28s    nothing happens            -> nothing
+1999ms nothing happens            -> dial #3           # 30 s after the first; there is room by now
+5ms    #3 up                      -> #3 idle, close #2 age
