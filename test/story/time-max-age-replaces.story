story "where there is room, the replacement is up before the old connection closes"

pool api   max_age 1m   jitter 0   max_per_key 2

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+10s    c1 releases #1             -> #1 idle
1m9ms   nothing happens            -> nothing
+1ms    nothing happens            -> dial #2
+5ms    #2 up                      -> #2 idle, close #1 age
