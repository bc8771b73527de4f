story "one that grows too old while it is leased serves on until its replacement is up"

pool api   max_age 1m   jitter 0   max_per_key 2

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+2m     nothing happens            -> nothing
+1ms    c1 releases #1             -> dial #2, #1 idle
+1ms    c2 acquires k              -> c2 holds #1
+1ms    c2 releases #1             -> #1 idle            # its replacement is still to come
+1ms    c3 acquires k              -> c3 holds #1
+1ms    #2 up                      -> #2 idle
+1ms    c3 releases #1             -> close #1 age
