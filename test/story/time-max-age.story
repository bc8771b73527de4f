story "a connection as old as allowed retires: idle at once, leased when released"

pool api   max_age 1m   jitter 0   max_per_key 1

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+10s    c1 releases #1             -> #1 idle
1m9ms   nothing happens            -> nothing
+1ms    nothing happens            -> close #1 age
+1ms    #1 down
+1ms    c2 acquires k              -> dial #2
+1ms    #2 up                      -> c2 holds #2
+1m     nothing happens            -> nothing
+1s     c2 releases #2, keep       -> close #2 age
