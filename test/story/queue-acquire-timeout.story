story "a waiter fails when its own time is up, and not before"

pool api   max_per_key 1   acquire_timeout 30s   connect_timeout 5m

0       c1 acquires k              -> dial #1
+1ms    c2 acquires k within 5s
+4999ms nothing happens            -> nothing
+1ms    nothing happens            -> c2 fails WEIR_EACQUIRE_TIMEOUT
30s     nothing happens            -> c1 fails WEIR_EACQUIRE_TIMEOUT
expect  refused.acquire_timeout 2   waiting 0
+1s     #1 up                      -> #1 idle           # its requester has left: it parks
