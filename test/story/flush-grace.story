story "what is leased when a flush's grace is over is cut"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    api flushes grace 5s       -> nothing
+5s     nothing happens            -> cut #1
+1ms    c1 releases #1             -> close #1
