story "a dial that stalls ends when connect_timeout is up"

pool api   connect_timeout 10s   acquire_timeout 30s   jitter 0

0       c1 acquires k              -> dial #1
+9999ms nothing happens            -> nothing
+1ms    nothing happens            -> close #1 connect_timeout, event connection_error k, c1 fails WEIR_ECONNECT_TIMEOUT
expect  total 1   closing 1
+1ms    #1 down
expect  total 0   failed.connect_timeout 1   closed 0
