story "a lease outlives its connection, and is released all the same"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    #1 down reset
expect  total 0   leases 1
+1ms    c1 releases #1, broken
expect  leases 0   closed.reset 1
