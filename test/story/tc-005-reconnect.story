story "a connection that drops is dialled again without being asked"      # requirement 000, TC-005

pool api   profile openclaw   jitter 0   idle_timeout 5m

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+50ms   c1 releases #1, keep       -> #1 idle
+1s     #1 down reset              -> dial #2
+5ms    #2 down refused            -> event connection_error k
+999ms  nothing happens            -> nothing
+1ms    nothing happens            -> dial #3      # after 1 s
+5ms    #3 up                      -> #3 idle
expect  key k state up failures 0
