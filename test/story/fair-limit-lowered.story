story "room that was to come for a tenant does not come where the limit is lowered meanwhile"

key a   host one   tenant alice
key b   host two   tenant bob
pool api   max_total 2

0       c1 acquires a, c2 acquires a        -> dial #1 a
+1ms    #1 up                      -> c1 holds #1, dial #2 a
+1ms    #2 up                      -> c2 holds #2
+1ms    c3 acquires a              -> nothing
+1ms    c4 acquires b              -> nothing
+1ms    c1 releases #1             -> close #1 evicted      # for bob, who has none
+1ms    api updates max_total 1    -> event config_changed
+1ms    #1 down                    -> nothing               # alice's other one is all there may be
+1ms    c2 releases #2             -> c3 holds #2 reused
