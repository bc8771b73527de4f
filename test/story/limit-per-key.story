story "a key has no more connections than it may, other keys do not matter"

pool api   max_per_key 2   max_total 10

0       c1 acquires k, c2 acquires k, c3 acquires k   -> dial #1 k
+1ms    #1 up                      -> c1 holds #1, dial #2 k
+1ms    #2 up                      -> c2 holds #2
+1ms    c4 acquires l              -> dial #3 l
expect  total 3   waiting 2   active 2
