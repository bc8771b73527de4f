story "a place that becomes free goes to the key that waited"

pool api   max_total 1

0       c1 acquires k              -> dial #1 k
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires l              -> nothing
+1ms    c1 releases #1             -> close #1 evicted
+1ms    #1 down                    -> dial #2 l
+1ms    #2 up                      -> c2 holds #2
