/* SPDX-License-Identifier: Apache-2.0
 *
 * counters.h - what listeners of every version of HTTP count, a row each: name, meaning. A request
 * of HTTP/2 is a stream that its client opened.
 */
#pragma once

#define LISTENER_COUNTERS(ROW)                                                                     \
    ROW(requests, "requests begun")                                                                \
    ROW(answers_1xx, "answers of status 1xx")                                                      \
    ROW(answers_2xx, "answers of status 2xx")                                                      \
    ROW(answers_3xx, "answers of status 3xx")                                                      \
    ROW(answers_4xx, "answers of status 4xx")                                                      \
    ROW(answers_5xx, "answers of status 5xx")                                                      \
    ROW(bytes_in, "bytes received")                                                                \
    ROW(bytes_out, "bytes sent")                                                                   \
    ROW(reads, "receive calls that brought bytes")                                                 \
    ROW(writes, "send calls that took bytes")                                                      \
    ROW(bad_requests, "requests refused for their form")                                           \
    ROW(left, "requests whose client left")                                                        \
    ROW(cut, "answers that could not be completed")                                                \
    ROW(headers_timeouts, "heads that took too long")                                              \
    ROW(request_timeouts, "requests that took too long")                                           \
    ROW(idle_timeouts, "open requests without a byte for too long")                                \
    ROW(keepalive_timeouts, "connections closed between requests")                                 \
    ROW(write_timeouts, "clients that did not read their answer")                                  \
    ROW(drained, "idle connections closed by a drain")                                             \
    ROW(refused_full, "clients refused over max_connections")                                      \
    ROW(refused_per_ip, "clients refused over max_per_ip")                                         \
    ROW(refused_short, "clients refused for want of descriptors or memory")                        \
    ROW(evicted, "idle connections closed for want of descriptors or memory")
