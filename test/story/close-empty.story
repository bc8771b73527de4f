story "an empty pool closes at the next step"

pool api

0       api closes                 -> event pool_closed
