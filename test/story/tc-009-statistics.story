story "the figures are what the lists are"      # requirement 000, TC-009

pool api   profile openclaw   max_per_key 4   probe_every 60s   jitter 0

0       c1 acquires k, c2 acquires k, c3 acquires l   -> dial #1 k, dial #2 l
expect  total 2   dialling 2   idle 0   active 0   waiting 3   keys 2
+10ms   #1 up                      -> c1 holds #1, dial #3 k
+10ms   #2 down refused            -> event connection_error l
+10ms   #3 up                      -> c2 holds #3
expect  total 2   active 2   leases 2   waiting 1   created 2   dials 3   failed 1   keys_backing_off 1
+10ms   c1 releases #1             -> #1 idle
expect  total 2   active 1   idle 1
+10ms   c3 cancels                 -> c3 fails WEIR_ECANCELED
expect  waiting 0   refused.canceled 1
+10ms   c2 releases #3, broken     -> close #3 broken
expect  total 2   idle 1   closing 1
+10ms   #3 down                    -> nothing
expect  total 1   idle 1   closing 0   closed 1   closed.broken 1   acquires 3   grants 2   released 2
