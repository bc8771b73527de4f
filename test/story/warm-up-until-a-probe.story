story "with warm probe a connection is warm when a probe was answered, or a caller was"

engine events all
pool api   warm probe   warm_every 10ms   probe_every 60s

0       api warms a, api warms b   -> dial #1 a
+10ms   nothing happens            -> dial #2 b
+1ms    #1 up                      -> event connection_added a #1, probe #1
+1ms    #1 up                      -> #1 idle
+1ms    c1 acquires b              -> nothing
+1ms    #2 up                      -> event connection_added b #2, event pool_warm, c1 holds #2
