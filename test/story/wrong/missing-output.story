story "an output that does not happen"

pool api

0       c1 acquires k              -> dial #1, dial #2
# says: :5: expected, but it did not happen: dial #2
