story "an option that is none"

pool api   max_totl 3
# says: :3: no such option of a pool, or not such a value: "max_totl"
