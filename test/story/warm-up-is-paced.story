story "a warm-up dials at its pace, first one for each key, and tells when all are up"   # pool.md, size

engine events all
pool api   warm up   warm_every 10ms   min_idle 2

0       api warms a, api warms b   -> dial #1 a
+9ms    nothing happens            -> nothing
+1ms    nothing happens            -> dial #2 b
+1ms    #1 up                      -> #1 idle, event connection_added a #1
+1ms    #2 up                      -> #2 idle, event connection_added b #2
+7ms    nothing happens            -> nothing
+1ms    nothing happens            -> dial #3 a
+10ms   nothing happens            -> dial #4 b
+1ms    #3 up                      -> #3 idle, event connection_added a #3
+1ms    #4 up                      -> #4 idle, event connection_added b #4, event pool_warm
+1ms    api cools a, api cools a   -> nothing
expect  warm 1   idle 4
