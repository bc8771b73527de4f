story "a shared connection serves no more leases than it may, in turn or at a time"

pool api   max_uses 2   max_per_key 2

0       c1 acquires k              -> dial #1
+1ms    #1 up 100                  -> c1 holds #1
+1ms    c2 acquires k              -> c2 holds #1
expect  #1 state active leases 2
+1ms    c3 acquires k              -> dial #2
+1ms    #2 up 100                  -> c3 holds #2
+1ms    c1 releases #1, c2 releases #1   -> close #1 uses
