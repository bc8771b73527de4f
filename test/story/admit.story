story "a server's pool: connections come in, carry requests, and leave"

pool web   dials no   max_total 2   idle_timeout 30s

0       web admits a               -> #1 idle
+1ms    web admits b               -> #2 idle
+1ms    web admits c               -> error WEIR_EFULL
expect  total 2   idle 2   refused.full 1
+1ms    r1 leases #1
expect  #1 state active
+1ms    r2 leases #1               -> r2 fails WEIR_ESTATE
+10ms   r1 releases #1, keep       -> #1 idle
+5s     #2 down hangup
+5s     web admits c               -> #3 idle
+20s    nothing happens            -> close #1 timeout
