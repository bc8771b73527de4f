story "a key in use keeps some connections ready"

pool api   min_idle 2   max_per_key 4

0       c1 acquires k              -> dial #1
+5ms    #1 up                      -> c1 holds #1, dial #2, dial #3
+5ms    #2 up, #3 up               -> #2 idle, #3 idle
+5ms    c2 acquires k              -> c2 holds #3, dial #4
+5ms    #4 up                      -> #4 idle
