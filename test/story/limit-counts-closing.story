story "a connection told to close counts until it is gone"

pool api   max_total 1

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1, retire     -> close #1 retired
+1ms    c2 acquires l              -> nothing           # the only place is still taken
expect  total 1   closing 1   waiting 1
+1ms    #1 down                    -> dial #2 l
