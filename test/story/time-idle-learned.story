story "the peer says how long it keeps an idle connection"      # Keep-Alive: timeout=5

pool api   idle_timeout 5m

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    #1 idles 3s
+1ms    c1 releases #1             -> #1 idle
+2999ms nothing happens            -> nothing
+1ms    nothing happens            -> close #1 timeout
