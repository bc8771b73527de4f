story "connections retire whose address is missing from three answers in a row, one after the other"   # pool.md, lesson 5

pool api   idle_timeout never   max_age 20m   jitter 0

0       c1 acquires k, c2 acquires l   -> dial #1 k, dial #2 l
+5ms    #1 up, #2 up               -> c1 holds #1, c2 holds #2
+5ms    #1 at 7, #2 at 7     -> nothing
+5ms    c3 acquires k              -> dial #3 k
+5ms    #3 up                      -> c3 holds #3
+5ms    #3 at 7                 -> nothing
+5ms    c1 releases #1, c3 releases #3   -> #1 idle, #3 idle
+5ms    api resolves k 7 8         -> nothing
+1s     api resolves k 8 9         -> nothing
+1s     api resolves k 9           -> nothing
+1s     api resolves K 7           -> nothing               # it is seen again: a service that rotates
+1s     api resolves k 8           -> nothing
+1s     api resolves k             -> nothing               # no answer is no lesson
+1s     api resolves k 8           -> nothing
+1s     api resolves k 8           -> dial #4 k
+5ms    #4 up                      -> #4 idle, close #1 address
+5ms    #1 down                    -> nothing
+1s     api resolves k 8 9         -> nothing
+8m     nothing happens            -> nothing
+2m     nothing happens            -> dial #5 k              # max_age / size after the first
+5ms    #5 up                      -> #5 idle, close #3 address
+5ms    #3 down                    -> nothing
+1s     c2 releases #2             -> #2 idle                # of another name
