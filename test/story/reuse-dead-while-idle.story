story "a connection that the peer closed while idle is gone before anyone is given it"

pool api

0       c1 acquires k              -> dial #1
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+1ms    #1 down hangup             -> nothing
+1ms    c2 acquires k              -> dial #2
expect  closed.hangup 1
