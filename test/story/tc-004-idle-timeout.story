story "an idle connection closes when its time is up, and not before"      # requirement 000, TC-004

pool api   max_total 2   idle_timeout 5m

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+50ms   c1 releases #1, keep       -> #1 idle
+4m59s  nothing happens            -> nothing
+1s     nothing happens            -> close #1 timeout
+3ms    #1 down
expect  total 0   created 1   closed 1   failed 0   closed.timeout 1
