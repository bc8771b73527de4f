story "a dial that is slower than most gets a second one; the first up serves, the other parks"

pool api   hedge on   jitter 0   max_per_key 10

0       c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k, c5 acquires k, c6 acquires k, c7 acquires k, c8 acquires k -> dial #1
+10ms   #1 up                      -> c1 holds #1, dial #2, dial #3
+10ms   #2 up, #3 up               -> c2 holds #2, c3 holds #3, dial #4, dial #5, dial #6, dial #7, dial #8
+10ms   #4 up, #5 up, #6 up, #7 up, #8 up -> c4 holds #4, c5 holds #5, c6 holds #6, c7 holds #7, c8 holds #8
+1s     c9 acquires k              -> dial #9
+9ms    nothing happens            -> nothing
+1ms    nothing happens            -> dial #10         # by now most are up
+5ms    #10 up                     -> c9 holds #10
+1s     #9 up                      -> #9 idle
