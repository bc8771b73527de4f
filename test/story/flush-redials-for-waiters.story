story "a flush ends dials under way and begins new ones for those who wait"

pool api   max_per_key 1

0       c1 acquires k              -> dial #1
+1ms    api flushes                -> close #1 flushed
+1ms    #1 down                    -> dial #2
+1ms    #2 up                      -> c1 holds #2
