story "a connection is never handed to a waiter that left"      # aiohttp #9670, Vitess #20310

pool api   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires k, c3 acquires k
+1ms    c2 cancels                 -> c2 fails WEIR_ECANCELED
+1ms    c1 releases #1             -> c3 holds #1
