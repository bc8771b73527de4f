story "an endpoint takes as many leases as it is seen to stand, whatever the keys; the others wait, in turns"

engine events all
key a   host db   tenant one
key b   host db   tenant two
pool api   concurrency aimd   concurrency_first 2   concurrency_min 1   max_age never

0       c1 acquires a, c2 acquires a   -> dial #1 a
+1ms    #1 up                      -> c1 holds #1, dial #2 a, event connection_added a #1
+1ms    #2 up                      -> c2 holds #2, event connection_added a #2
+1ms    c3 acquires a, c4 acquires a, c5 acquires b -> event pool_limit_reached a concurrency   # and no dial
expect  waiting 3   crowded 3   concurrency 2   leases 2
expect  explains a concurrency: allows
+1ms    c6 tries a                 -> c6 fails WEIR_EAGAIN
+1ms    c1 releases #1             -> c3 holds #1, event connection_returned a #1, event connection_reused a #1
+1ms    c3 releases #1             -> dial #3 b, #1 idle, event connection_returned a #1  # its turn, its place
+1ms    #3 up                      -> c5 holds #3, event connection_added b #3
+1ms    c2 releases #2             -> c4 holds #2, event connection_returned a #2, event connection_reused a #2
expect  waiting 0   leases 2
