story "at the limit, where the pool refuses, a new key is refused and nothing closes"      # requirement 000, TC-010

pool api   max_total 2   refuse_when_full on

0       c1 acquires k, c2 acquires l   -> dial #1 k, dial #2 l
+10ms   #1 up, #2 up               -> c1 holds #1, c2 holds #2
+10ms   c1 releases #1             -> #1 idle
+10ms   c3 acquires m              -> c3 fails WEIR_EFULL
expect  total 2   idle 1   evicted 0   refused.full 1
