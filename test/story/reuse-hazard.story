story "what cannot be sent twice goes where the peer was heard last; a request that can takes the newest"

pool api   idle_timeout 5m

0       c1 acquires k, c2 acquires k   -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1s     c1 releases #1             -> #1 idle
+1s     c2 releases #2             -> #2 idle
+20s    #1 used
+5s     c3 acquires k idempotent replayable   -> c3 holds #2
+1ms    c3 releases #2             -> #2 idle
+20s    #1 used
+5s     c4 acquires k              -> c4 holds #1
