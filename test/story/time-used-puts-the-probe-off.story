story "a peer that was heard needs no probe"

pool api   probe_every 60s   jitter 0   idle_timeout never

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+9ms    c1 releases #1             -> #1 idle
+30s    #1 used
+30s    nothing happens            -> nothing
+30s    nothing happens            -> probe #1
