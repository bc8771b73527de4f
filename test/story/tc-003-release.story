story "a released connection is idle"      # requirement 000, TC-003

pool api   profile openclaw

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
expect  #1 state active leases 1
+50ms   c1 releases #1, keep       -> #1 idle
expect  #1 state idle leases 0 uses 1
expect  total 1   idle 1   active 0   leases 0   released 1
