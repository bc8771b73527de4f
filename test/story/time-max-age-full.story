story "a connection of many leases that is always full, with callers waiting, is replaced when it grows too old"

pool api   max_age 1m   jitter 0   max_per_key 1   acquire_timeout 10m   lease_timeout never

0       c1 acquires k              -> dial #1
+10ms   #1 up 2                    -> c1 holds #1
+1ms    c2 acquires k              -> c2 holds #1 reused
+1ms    c3 acquires k              -> nothing
+3m     nothing happens            -> nothing
+1ms    c1 releases #1             -> nothing            # it takes no more leases
+1ms    c2 releases #1             -> close #1 age
+1ms    #1 down                    -> dial #2
+10ms   #2 up 2                    -> c3 holds #2
