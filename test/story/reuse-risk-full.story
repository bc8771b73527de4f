story "a caller that will not have the idle connection of its key has it closed for no other one of that key"

pool api   max_total 2   idle_timeout 5m

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    #1 idles 8s, c1 releases #1   -> #1 idle
+7s     c2 acquires k              -> dial #2           # the peer may be about to close #1
+1ms    c3 acquires k              -> nothing           # nothing is gained by closing #1 for #3
+1ms    c4 acquires k idempotent replayable -> c4 holds #1
+1ms    #2 up                      -> c2 holds #2
+1ms    c4 releases #1             -> c3 holds #1       # it was heard of just now
