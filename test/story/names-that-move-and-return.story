story "an address that returns before its connection's turn keeps it; a busy one goes when it is free"

pool api   idle_timeout never   max_age never   jitter 0   max_per_key 1

0       c1 acquires k              -> dial #1 k
+5ms    #1 up                      -> c1 holds #1
+5ms    #1 at 7                 -> nothing
+5ms    api resolves k 8, api resolves k 8, api resolves k 8   -> nothing
+5ms    api resolves k 7           -> nothing
+5ms    c1 releases #1             -> #1 idle
+5ms    c2 acquires k              -> c2 holds #1 reused
+5ms    api resolves k 8, api resolves k 8, api resolves k 8   -> nothing
+5ms    c2 releases #1             -> close #1 address
