story "time that runs backwards"

pool api

5s      nothing happens
4s      nothing happens
# says: :6: time goes backwards
