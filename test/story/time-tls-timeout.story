story "the handshake has a time of its own"

pool api   connect_timeout 10s   tls_timeout 3s   jitter 0

0       c1 acquires k              -> dial #1
+9s     #1 handshakes
+2999ms nothing happens            -> nothing
+1ms    nothing happens            -> close #1 tls_timeout, event connection_error k, c1 fails WEIR_ETLS_TIMEOUT
+1ms    #1 down
expect  failed.tls_timeout 1
