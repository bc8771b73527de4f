story "an update that is not valid changes nothing"

pool api   max_total 4   max_per_key 4   min_idle 0

0       api updates max_total 2 max_idle 1 min_idle 3   -> error WEIR_EINVAL
+1ms    c1 acquires k, c2 acquires l, c3 acquires m   -> dial #1 k, dial #2 l, dial #3 m
+1ms    api updates max_total 8    -> event config_changed
