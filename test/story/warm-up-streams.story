story "where one carries many, a warm-up is over with streams_conns_max of them, whatever min_idle says"   # pool.md, size

engine events all
pool api   warm up   warm_every 10ms   min_idle 3   streams_conns_max 2

0       api warms a                -> dial #1 a
+1ms    #1 up 10                   -> #1 idle, event connection_added a #1
+9ms    nothing happens            -> dial #2 a
+1ms    #2 up 10                   -> #2 idle, event connection_added a #2, event pool_warm
+50ms   nothing happens            -> nothing
expect  warm 1   idle 2
