story "a lease that lasts too long is told, then cut; its owner still releases it"

pool api   lease_warn 10s   lease_timeout 30s

0       c1 acquires k tag 7        -> dial #1
+1ms    #1 up                      -> c1 holds #1
+10s    nothing happens            -> event lease_overdue k #1
+20s    nothing happens            -> cut #1, event lease_overdue k #1 lease_timeout
+1ms    c1 releases #1, keep       -> close #1 lease_timeout
+1ms    #1 down
expect  closed.lease_timeout 1   total 0
