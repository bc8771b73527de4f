// SPDX-License-Identifier: Apache-2.0
//
// Go's net/http beside client_bench.c: one Transport, N requests in flight.
//
//	client_go PORT PATH IN_FLIGHT WARM_S SECONDS
//
// One line of JSON, as client_bench prints.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func cpu() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func seconds(text string) time.Duration {
	value, _ := strconv.ParseFloat(text, 64)
	return time.Duration(value * 1e9)
}

func main() {
	url := "http://127.0.0.1:" + os.Args[1] + os.Args[2]
	inFlight, _ := strconv.Atoi(os.Args[3])
	var requests, failed, connections atomic.Int64
	dialer := net.Dialer{}
	transport := &http.Transport{
		MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: inFlight,
		Dial: func(network, address string) (net.Conn, error) {
			connections.Add(1)
			return dialer.Dial(network, address)
		},
	}
	client := http.Client{Transport: transport}
	for i := 0; i < inFlight; i++ {
		go func() {
			for {
				answer, err := client.Get(url)
				if err != nil {
					failed.Add(1)
					continue
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				requests.Add(1)
			}
		}()
	}
	time.Sleep(seconds(os.Args[4]))
	begun, used, before := time.Now(), cpu(), requests.Load()
	time.Sleep(seconds(os.Args[5]))
	took, spent, done := time.Since(begun), cpu()-used, requests.Load()-before
	line, _ := json.Marshal(map[string]any{
		"requests": done, "seconds": took.Seconds(), "failed": failed.Load(),
		"cpu_us_per_request": float64(spent.Microseconds()) / float64(max(done, 1)),
		"connections":        connections.Load(),
	})
	fmt.Println(string(line))
}

func max(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}
