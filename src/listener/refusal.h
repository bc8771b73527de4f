/* SPDX-License-Identifier: Apache-2.0
 *
 * refusal.h - an answer of a listener's own: JSON body, Proxy-Status, Retry-After; to a client of
 * gRPC its status alone.
 */
#pragma once
#include "listener/accept.h"
#include "listener/http1.h"
#include "proto/http.h"

#define REFUSAL_FIELDS 4U
#define REFUSAL_TEXT   512U

/* Built in place: valid as long as the room it lies in. */
struct refusal_answer {
    struct http_head head;
    struct http_field fields[REFUSAL_FIELDS];
    char status[REFUSAL_TEXT], retry[16], body[REFUSAL_TEXT];
    uint32_t body_len;
};

/* `server`: who we are in Proxy-Status. The words are ours: nothing in them needs escaping. */
void refusal_make(struct refusal_answer *answer, const struct http1_refusal *refusal,
                  const char *server);
/* The same for a call of gRPC: a head that is all (trailers only), or the trailers that end an
 * answer which has begun. */
void refusal_make_grpc(struct refusal_answer *answer, const struct http1_refusal *refusal,
                       bool is_trailer);

/* No place for one more client. */
const struct http1_refusal *refusal_of_door(enum accept_refusal why);
