story "a connection that carries a request is never reaped as idle"

pool web   dials no   idle_timeout 5s

0       web admits a               -> #1 idle
+1ms    r1 leases #1
+1m     nothing happens            -> nothing
+1ms    r1 releases #1             -> #1 idle
+5s     nothing happens            -> close #1 timeout
