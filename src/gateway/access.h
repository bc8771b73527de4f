/* SPDX-License-Identifier: Apache-2.0
 *
 * access.h - one line of JSON for each request that has ended.
 *
 * Built only where the log is on, in a buffer of the worker's, and copied into its ring: a request
 * never waits for it. Secrets, bodies and keys are not logged: of the target the path alone, of the
 * fields none.
 */
#pragma once
#include "base/text.h"
#include "io/clock.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

struct notify_ring;

/* Of a WebSocket, when it has ended: what the client said, what the upstream did. */
struct access_websocket {
    uint64_t messages[2], pings[2];
    uint16_t codes[2]; /* of close frames; 0: there was none */
};

struct access_entry {
    uint64_t now_ms;                            /* monotonic, of the end */
    const char *listener, *upstream, *endpoint; /* "" where it did not come so far */
    const char *account;                        /* "" or NULL: as none */
    const char *session;                        /* what affinity said; "" or NULL: there is none */
    const char *client_name;                    /* of the configuration; "" or NULL: none */
    struct slice client, method, host, path, trace;
    uint16_t status;   /* 499: the client left before there was one */
    const char *error; /* fault_code() */
    bool cut;          /* the answer was not completed */
    bool reused;
    uint32_t retries;
    uint64_t request_bytes, answer_bytes; /* bodies */
    /* From the request's head on: a connection was there; the answer began; it ended. */
    uint64_t queue_us, first_byte_us, total_us;
    struct http_took took;                    /* the connection's dial; 0: reused */
    const struct access_websocket *websocket; /* NULL: it was none; bytes are all that passed */
};

struct access_log {
    struct notify_ring *ring; /* NULL: off */
    struct clock_wall wall;
    struct clock_stamper stamper;
    char line[8192];
};

void access_write(struct access_log *log, const struct access_entry *entry);
