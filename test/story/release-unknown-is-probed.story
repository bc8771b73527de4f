story "a connection of unknown state is verified before it is used again"

pool api   probe_every 60s   probe_timeout 5s   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1, unknown    -> probe #1
+1ms    c2 acquires k              -> nothing
+1ms    #1 up                      -> c2 holds #1
