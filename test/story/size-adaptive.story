story "the size of a key follows its load: some are dialled ahead, what is too much closes by halves"

pool api   size_min 2   max_per_key 8   jitter 0

0       c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k -> dial #1
+1ms    #1 up                      -> c1 holds #1, dial #2, dial #3
+1ms    #2 up, #3 up               -> c2 holds #2, c3 holds #3, dial #4
+1ms    #4 up                      -> c4 holds #4
+1s     nothing happens            -> dial #5, dial #6, dial #7, dial #8    # four are busy: 4 + 2 x 2
+1ms    #5 up, #6 up, #7 up, #8 up -> #5 idle, #6 idle, #7 idle, #8 idle
+1s     c1 releases #1, c2 releases #2, c3 releases #3, c4 releases #4 -> #1 idle, #2 idle, #3 idle, #4 idle
+2s     nothing happens            -> nothing
+1s     nothing happens            -> close #5 surplus, close #6 surplus, close #7 surplus  # half of six
+1ms    #5 down, #6 down, #7 down  -> nothing
+4s     nothing happens            -> nothing
+1s     nothing happens            -> close #8 surplus
