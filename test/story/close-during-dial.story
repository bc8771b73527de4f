story "a dial under way ends with its pool"

pool api

0       c1 acquires k              -> dial #1
+1ms    api closes                 -> close #1 closed, c1 fails WEIR_ECLOSED
+1ms    #1 down                    -> event pool_closed
