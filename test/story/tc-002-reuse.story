story "an equal key gets the connection that is there, and no second one"      # requirement 000, TC-002

pool api   profile openclaw

0       c1 acquires k              -> dial #1
+10ms   #1 up                      -> c1 holds #1
+20ms   c1 releases #1, keep       -> #1 idle
+1s     c2 acquires k              -> c2 holds #1 reused
expect  total 1   created 1   reused 1   dials 1
+5ms    c2 releases #1             -> #1 idle
+1ms    c3 tries k                 -> c3 holds #1
expect  created 1   reused 2   grants 3   dials 1
