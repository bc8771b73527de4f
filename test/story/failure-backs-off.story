story "after a failed dial the key waits; callers meanwhile wait with it"

pool api   jitter 0   on_dial_error wait   failures_max 9   retry_cap 3s

0       c1 acquires k              -> dial #1
+5ms    #1 down refused            -> event connection_error k
expect  key k state backing_off failures 1 retry_after 1000
+1ms    c2 acquires k              -> nothing
+999ms  nothing happens            -> dial #2
+5ms    #2 down refused            -> event connection_error k
+2s     nothing happens            -> dial #3
+5ms    #3 down refused            -> event connection_error k
+2999ms nothing happens            -> nothing           # 4 s, but at most 3 s
+1ms    nothing happens            -> dial #4
+5ms    #4 up                      -> c1 holds #4, dial #5
expect  key k state up failures 0
