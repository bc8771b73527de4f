story "a rush that is expected does not shorten the pause after a failed dial"

pool api   size_min 1   max_per_key 8   forecast 2880s   retry_first 5s   jitter 0   idle_timeout 2h   max_age never   probe_every never

# the first season: learned
1000s   c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k -> dial #1
+50ms   #1 up                      -> c1 holds #1, dial #2, dial #3
+50ms   #2 up, #3 up               -> c2 holds #2, c3 holds #3, dial #4
+50ms   #4 up                      -> c4 holds #4
+400ms  c1 releases #1, c2 releases #2, c3 releases #3, c4 releases #4 -> #1 idle, #2 idle, #3 idle, #4 idle
+60s    nothing happens            -> close #1 surplus, close #2 surplus, close #3 surplus
+50ms   #1 down, #2 down, #3 down  -> nothing
# the second: judged
3880s   c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k -> c1 holds #4, dial #5, dial #6, dial #7
+100ms  #5 up, #6 up, #7 up -> c2 holds #5, c3 holds #6, c4 holds #7
+400ms  c1 releases #4, c2 releases #5, c3 releases #6, c4 releases #7 -> #4 idle, #5 idle, #6 idle, #7 idle
+60s    nothing happens -> close #4 surplus, close #5 surplus, close #6 surplus
+50ms   #4 down, #5 down, #6 down -> nothing
# the third: trusted from now on
6760s   c1 acquires k, c2 acquires k, c3 acquires k, c4 acquires k -> c1 holds #7, dial #8, dial #9, dial #10
+100ms  #8 up, #9 up, #10 up -> c2 holds #8, c3 holds #9, c4 holds #10
+400ms  c1 releases #7, c2 releases #8, c3 releases #9, c4 releases #10 -> #7 idle, #8 idle, #9 idle, #10 idle
+60s    nothing happens -> close #7 surplus, close #8 surplus, close #9 surplus
+50ms   #7 down, #8 down, #9 down -> nothing
# the fourth: the peer has gone
9635.500s #10 down hangup            -> dial #11
+500ms  #11 down refused           -> event connection_error k
9640s   nothing happens            -> nothing
9641s   nothing happens            -> dial #12, dial #13
9642s   nothing happens            -> nothing
