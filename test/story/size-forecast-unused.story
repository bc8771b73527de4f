story "a key that nobody used for idle_timeout has nothing dialled before a rush that others expect"

pool api   size_min 1   max_per_key 8   forecast 2880s   jitter 0   idle_timeout 3000s   max_age never   probe_every never

# the first season: learned
1000s   c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k -> dial #1
+50ms   #1 up                      -> c1 holds #1, dial #2, dial #3
+50ms   #2 up, #3 up               -> c2 holds #2, c3 holds #3, dial #4
+50ms   #4 up                      -> c4 holds #4
+400ms  c1 releases #1, c2 releases #2, c3 releases #3, c4 releases #4 -> #1 idle, #2 idle, #3 idle, #4 idle
+60s    nothing happens            -> close #1 surplus, close #2 surplus, close #3 surplus
+50ms   #1 down, #2 down, #3 down  -> nothing
# the second: judged; one of the callers wants another key
3880s   c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires j -> c1 holds #4, dial #5 k, dial #6 k, dial #7 j
+100ms  #5 up, #6 up, #7 up -> c2 holds #5, c3 holds #6, c4 holds #7
+400ms  c1 releases #4, c2 releases #5, c3 releases #6, c4 releases #7 -> #4 idle, #5 idle, #6 idle, #7 idle
+60s    nothing happens -> close #4 surplus, close #5 surplus
+50ms   #4 down, #5 down -> nothing
# the third: trusted from now on
6760s   c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k -> c1 holds #6, dial #8, dial #9, dial #10
+100ms  #8 up, #9 up, #10 up -> c2 holds #8, c3 holds #9, c4 holds #10
+400ms  c1 releases #6, c2 releases #8, c3 releases #9, c4 releases #10 -> #6 idle, #8 idle, #9 idle, #10 idle
+60s    nothing happens -> close #6 surplus, close #8 surplus, close #9 surplus
+50ms   #6 down, #8 down, #9 down -> nothing
# the fourth: before it comes there is more than size_min of the one, and nothing of the other
6881s   nothing happens -> close #7 timeout
+50ms   #7 down -> nothing
9637s   nothing happens -> nothing
9639s   nothing happens -> dial #11 k
+100ms  #11 up -> #11 idle
9640s   c1 acquires k, c2 acquires k -> c1 holds #11, c2 holds #10 reused
+400ms  c1 releases #11, c2 releases #10 -> #11 idle, #10 idle
# nobody comes any more: the reviews end when the key is no longer in use
+60s    nothing happens -> close #11 surplus
+50ms   #11 down -> nothing
expect  next 550ms            # the next review
+50ms   api updates idle_timeout 100s -> event config_changed
9741s   nothing happens -> close #10 timeout
+50ms   #10 down -> nothing
+1s     nothing happens -> nothing
expect  next 9m59s            # when the key is forgotten
