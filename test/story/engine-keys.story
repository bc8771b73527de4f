story "a new key is refused when all that are known are in use; an idle one is forgotten for it"

engine   keys_max 2
pool api   max_total 10

0       c1 acquires k, c2 acquires l, c3 acquires m   -> dial #1 k, dial #2 l, c3 fails WEIR_EKEYS
+1ms    #1 up, #2 up               -> c1 holds #1, c2 holds #2
+1ms    c1 releases #1, retire     -> close #1
+1ms    #1 down
+1ms    c4 acquires m              -> dial #3 m         # k has nothing left: it is forgotten
expect  keys 2   refused.keys 1
