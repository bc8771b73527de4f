story "three hang-ups after the same idle time teach how long the peer keeps a connection"

pool api   idle_timeout 5m   max_age never

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+60s    #1 down hangup
+1ms    c1 acquires k              -> dial #2
+1ms    #2 up                      -> c1 holds #2
+1ms    c1 releases #2             -> #2 idle
+60s    #2 down hangup
+1ms    c1 acquires k              -> dial #3
+1ms    #3 up                      -> c1 holds #3
+1ms    c1 releases #3             -> #3 idle
+60s    #3 down hangup
+1ms    c1 acquires k              -> dial #4
+1ms    #4 up                      -> c1 holds #4
+1ms    c1 releases #4             -> #4 idle
+50s    nothing happens            -> close #4 timeout
