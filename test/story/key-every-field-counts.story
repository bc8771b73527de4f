story "a connection serves the equal key only: every field counts"

pool api   max_per_key 9
key  a     host h   port 1
key  host  host g   port 1
key  port  host h   port 2
key  src   host h   port 1   source 127.0.0.2
key  prox  host h   port 1   proxy socks5://u:p@127.0.0.1:1080
key  prox2 host h   port 1   proxy socks5://u:q@127.0.0.1:1080
key  tls   host h   port 1   tls f1
key  ten   host h   port 1   tenant t
key  upper host H   port 1

0       c1 acquires a              -> dial #1 a
+1ms    #1 up                      -> c1 holds #1
+1ms    c1 releases #1             -> #1 idle
+1ms    c2 tries host, c3 tries port, c4 tries src, c5 tries prox  -> c2 fails WEIR_EAGAIN, c3 fails WEIR_EAGAIN, c4 fails WEIR_EAGAIN, c5 fails WEIR_EAGAIN
+1ms    c6 tries tls, c7 tries ten                                 -> c6 fails WEIR_EAGAIN, c7 fails WEIR_EAGAIN
+1ms    c8 acquires prox           -> dial #2 prox
+1ms    #2 up                      -> c8 holds #2
+1ms    c8 releases #2             -> #2 idle
+1ms    c9 tries prox2             -> c9 fails WEIR_EAGAIN      # other credentials
+1ms    c10 tries upper            -> c10 holds #1              # hosts compare without case
