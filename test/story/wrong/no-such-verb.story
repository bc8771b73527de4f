story "a verb that is none"

pool api

0       c1 adores k
# says: :5: no such verb: "adores"
