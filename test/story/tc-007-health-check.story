story "idle connections are probed, and what does not answer is removed"      # requirement 000, TC-007

pool api   probe_every 60s   probe_timeout 5s   jitter 0

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+50ms   c1 releases #1, keep       -> #1 idle
+60s    nothing happens            -> probe #1
expect  #1 state probing
+20ms   #1 up                      -> #1 idle
+60s    nothing happens            -> probe #1
+4999ms nothing happens            -> nothing
+1ms    nothing happens            -> close #1 probe_timeout
+1ms    #1 down
expect  total 0   probes 2   closed.probe_timeout 1
