pool api
# says: :1: a story begins with its title
