story "what cannot be sent twice is given a fresh connection when the peer may be about to close the idle one"

pool api   idle_timeout 5m   retry_first 10s

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    #1 idles 8s, c1 releases #1   -> #1 idle
+5999ms c2 tries k                 -> c2 holds #1       # three quarters are not over
+1ms    c2 releases #1             -> #1 idle
+6s     c3 tries k                 -> c3 fails WEIR_EAGAIN
+1ms    c4 acquires k              -> dial #2
+1ms    c5 acquires k idempotent replayable -> c5 holds #1   # sent again if need be
+1ms    #2 up                      -> c4 holds #2
+1ms    c5 releases #1, #2 idles 8s -> #1 idle
+1ms    c4 releases #2             -> #2 idle
+7s     c6 acquires k              -> dial #3
+1ms    #3 down refused            -> c6 holds #2, event connection_error k #3 refused   # no dial to be had: it will have to do
expect  explains k dials rather
