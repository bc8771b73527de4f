story "an engine has as many connections as it may, whatever its pools would allow: one more waits"

engine   conns_max 1
pool api   max_total 10
pool web   max_total 10

0       c1 acquires api/k          -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c2 acquires web/k          -> nothing
+1ms    c1 releases #1, retire     -> close #1 retired
+1ms    #1 down                    -> dial #2 k
