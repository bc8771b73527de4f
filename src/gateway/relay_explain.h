/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_explain.h - where a request with these properties would go now, and why: the same steps as
 * of a request (relay.c), asked of one worker, and nothing is sent, taken or kept.
 */
#pragma once
#include "proto/json.h"

#include <stdint.h>

struct relay;

#define QUESTION_HEADERS_MAX 8U

struct question_header {
    char name[64], value[256];
};

/* "": it does not say. */
struct relay_question {
    char listener[65];
    char method[16], host[256], path[1024]; /* [GET, "", /] */
    char session[256];   /* what its conversation is known by, wherever the route looks for that */
    char model[128];     /* that its body names */
    uint8_t address[16]; /* the client's */
    char client[65];     /* whose key it shows, by name */
    struct question_header headers[QUESTION_HEADERS_MAX];
    uint32_t headers_count;
};

#define EXPLAIN_BYTES_MAX (128U << 10) /* of the answer */

/* On the worker's thread: the members of an object that is open. */
void relay_explain(struct relay *relay, const struct relay_question *question, struct json *json);
