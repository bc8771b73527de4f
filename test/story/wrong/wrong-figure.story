story "a figure that is not so"

pool api

0       c1 acquires k              -> dial #1
expect  total 2
# says: :6: total is 1, expected 2
