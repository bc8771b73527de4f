story "the queue is bounded: one more is refused at once"

pool api   max_per_key 1   waiting_max 2

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires k, c3 acquires k, c4 acquires k   -> c4 fails WEIR_EQUEUE
expect  waiting 2   refused.queue_full 1
