story "a tenant that has filled the queue makes room for another, last come first, until both have half"   # pool.md, fairness

key a1   host one   tenant alice
key a2   host two   tenant alice
key b1   host one   tenant bob
pool api   max_total 1   waiting_max 4

0       c1 acquires a1             -> dial #1 a1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires a1, c3 acquires a2, c4 acquires a1, c5 acquires a2   -> nothing
+1ms    c6 acquires a2             -> c6 fails WEIR_EQUEUE          # alone, she has all of it, and no more
+1ms    c7 acquires b1             -> c5 fails WEIR_EQUEUE
+1ms    c8 acquires b1             -> c4 fails WEIR_EQUEUE
+1ms    c9 acquires b1             -> c9 fails WEIR_EQUEUE          # he has half
+1ms    c10 acquires a1            -> c10 fails WEIR_EQUEUE         # and so has she
expect  waiting 4   refused.queue_full 5
+1ms    c7 cancels                 -> c7 fails WEIR_ECANCELED
+1ms    c11 acquires a1            -> nothing                       # room is anybody's
+1ms    c12 acquires b1            -> c11 fails WEIR_EQUEUE
