story "one that carries many is not doubled because it is busy: min_idle goes no further than streams_conns_max"

pool api   streams_conns_max 1   min_idle 1

0       c1 acquires k              -> dial #1
+1ms    #1 up 2                    -> c1 holds #1
+1ms    c2 acquires k              -> c2 holds #1
+1ms    c3 acquires k
+1ms    #1 room 0                  -> dial #2
+1ms    #2 up 2                    -> c3 holds #2
+1ms    c1 releases #1
+1ms    c2 releases #1             -> close #1 goaway
