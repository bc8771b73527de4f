story "a broken connection makes room for the next waiter"

pool api   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires k
+1ms    c1 releases #1 broken reset    -> close #1 reset
+1ms    #1 down                    -> dial #2
+1ms    #2 up                      -> c2 holds #2
expect  closed.reset 1
