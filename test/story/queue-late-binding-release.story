story "a waiter takes what comes first: a released connection, and its dial parks"

pool api   max_per_key 2

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+10ms   c2 acquires k              -> dial #2
+10ms   c1 releases #1             -> c2 holds #1 reused
+10ms   #2 up                      -> #2 idle
expect  total 2   idle 1   active 1
