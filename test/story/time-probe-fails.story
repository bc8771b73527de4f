story "a probe that is answered wrongly ends the connection"

pool api   probe_every 60s   jitter 0

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+9ms    c1 releases #1             -> #1 idle
+60s    nothing happens            -> probe #1
+1ms    #1 down probe
expect  total 0   closed.probe 1
