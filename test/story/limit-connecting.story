story "dials of a key are bounded apart from its connections: 1, 2, 4 … up to connecting_max"

pool api   max_per_key 20   connecting_max 3

0       c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k, c5 acquires k, c6 acquires k, c7 acquires k   -> dial #1
+5ms    #1 up                      -> c1 holds #1, dial #2, dial #3
+5ms    #2 up                      -> c2 holds #2, dial #4, dial #5
expect  dialling 3   active 2   waiting 5
+5ms    #3 up                      -> c3 holds #3, dial #6
expect  dialling 3   active 3   waiting 4
