story "another key than expected"

pool api

0       c1 acquires k              -> dial #1 l
# says: :5: expected, but it did not happen: dial #1 l
