story "a dial that comes up after it was given up is not used"

pool api   connect_timeout 10s   jitter 0

0       c1 acquires k              -> dial #1
+10s    nothing happens            -> close #1, event connection_error k, c1 fails WEIR_ECONNECT_TIMEOUT
+1ms    #1 up                      -> error WEIR_ESTATE
+1ms    #1 down                    -> nothing
+1ms    #1 down                    -> error WEIR_ESTALE
expect  total 0   created 0
