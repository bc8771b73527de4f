story "the first acquire dials, and the caller holds what came up"      # requirement 000, TC-001

pool api   profile openclaw

0       c1 acquires k              -> dial #1 k
expect  total 1   dialling 1   waiting 1
+10ms   #1 up                      -> c1 holds #1
expect  total 1   active 1   leases 1   waiting 0   created 1   reused 0
