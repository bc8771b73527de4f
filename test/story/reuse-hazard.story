story "a request that cannot be sent twice gets the connection that was heard last"

pool api   probe_every 60s   jitter 0

0       c1 acquires k, c2 acquires k   -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1s     c1 releases #1             -> #1 idle
+1s     c2 releases #2             -> #2 idle
+5s     #1 used                    -> nothing               # a frame of it came, no request
+100ms  c3 acquires k idempotent replayable -> c3 holds #2  # who can try again takes the newest
+100ms  c4 acquires k              -> c4 holds #1
+100ms  c4 releases #1             -> #1 idle
+5s     c3 releases #2             -> #2 idle
+500ms  c5 acquires k              -> c5 holds #2           # heard just now
