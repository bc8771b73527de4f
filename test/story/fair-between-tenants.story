story "a tenant with many keys gives a connection up to one that has none, whoever came first"   # pool.md, fairness

key a1   host one     tenant alice
key a2   host two     tenant alice
key a3   host three   tenant alice
key b1   host one     tenant bob
pool api   max_total 3

0       c1 acquires a1, c2 acquires a2, c3 acquires a3   -> dial #1 a1, dial #2 a2, dial #3 a3
+5ms    #1 up, #2 up, #3 up        -> c1 holds #1, c2 holds #2, c3 holds #3
+5ms    c4 acquires a1             -> nothing
+5ms    c5 acquires b1             -> nothing
+5ms    c1 releases #1, keep       -> close #1 evicted
+5ms    #1 down                    -> dial #4 b1
+5ms    #4 up                      -> c5 holds #4
+5ms    c6 acquires b1             -> nothing               # bob has one, alice two: in turns from now on
+5ms    c5 releases #4, keep       -> c6 holds #4 reused
+5ms    c2 releases #2, keep       -> close #2 evicted      # for a1 of alice, who waits: nobody uses it
+5ms    #2 down                    -> dial #5 a1
+5ms    #5 up                      -> c4 holds #5
