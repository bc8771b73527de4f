story "a probe under way ends with its pool"

pool api   probe_every 60s   jitter 0

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+1m     nothing happens            -> probe #1
+1ms    api closes                 -> close #1 closed
+1ms    #1 down                    -> event pool_closed
