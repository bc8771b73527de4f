story "a pool that closes fails its waiters, lets leases end, and cuts what is left"

pool api   max_per_key 2

0       c1 acquires k, c2 acquires k   -> dial #1      # one at a time, until one has succeeded
+1ms    #1 up                      -> c1 holds #1, dial #2
+1ms    #2 up                      -> c2 holds #2
+1ms    c3 acquires k
+1ms    api closes grace 10s       -> c3 fails WEIR_ECLOSED
+1ms    c4 acquires k              -> c4 fails WEIR_ECLOSED
+1s     c1 releases #1             -> close #1 closed
+1ms    #1 down
10s3ms  nothing happens            -> nothing
+1ms    nothing happens            -> cut #2
+1ms    c2 releases #2             -> close #2
+1ms    #2 down                    -> event pool_closed
