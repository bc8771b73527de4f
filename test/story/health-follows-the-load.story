story "health follows how much of the pool is in use, not at once, and not to and fro"

pool api   max_total 10   max_per_key 10   connecting_max 10

0       c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k, c5 acquires k, c6 acquires k, c7 acquires k, c8 acquires k, c9 acquires k -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2, dial #3
+1ms    #2 up, #3 up               -> c2 holds #2, c3 holds #3, dial #4, dial #5, dial #6, dial #7, dial #8, dial #9
+1ms    #4 up, #5 up, #6 up, #7 up, #8 up, #9 up -> c4 holds #4, c5 holds #5, c6 holds #6, c7 holds #7, c8 holds #8, c9 holds #9
expect  health healthy
+1s     nothing happens
expect  health degraded                                 # nine of ten
+1ms    c1 releases #1             -> #1 idle
+10s    nothing happens
expect  health degraded                                 # eight: it comes in above 0.80, and goes below 0.75
+1ms    c2 releases #2             -> #2 idle
+1s     nothing happens
expect  health healthy
+1ms    c1 acquires k, c2 acquires k -> c1 holds #2, c2 holds #1
+3s     nothing happens
expect  health healthy                                  # it stays for five seconds
+3s     nothing happens
expect  health degraded
