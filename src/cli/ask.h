/* SPDX-License-Identifier: Apache-2.0
 *
 * ask.h - one question to the admin interface of a gateway that runs, and its answer; it waits.
 *
 * Where that is: --admin ADDR, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901. What
 * opens it is in WEIR_ADMIN_TOKEN.
 */
#pragma once
#include "base/bytes.h"
#include "proto/http1.h"

#define ASK_TIMEOUT_S  10
#define ASK_ANSWER_MAX (65U << 20) /* bytes: the most that an admin interface says, and a head */

struct ask {
    const char *command; /* for messages */
    const char *admin;   /* --admin, or NULL */
    const char *config;  /* -c, or NULL */
    const char *path;    /* with its query */
    const char *method;  /* [GET] */
    const char *fields;  /* more of the head, each with its line's end [none] */
    struct slice input;  /* a body of JSON [none] */
    uint32_t timeout_s;  /* of each step [ASK_TIMEOUT_S] */
    char *ret_why;       /* instead of stderr: ASK_WHY_MAX bytes */
    bool *ret_is_gone; /* nobody is there, or whoever was has gone without a whole answer [none] */
};

#define ASK_WHY_MAX 512U

/* The body behind whatever `ret_body` has. The exit status: 0, or the reason is said. */
int ask_admin(const struct ask *ask, struct bytes *ret_body);

/* An answer that is read as it comes. */
struct ask_flow {
    int fd;
    struct bytes input; /* what came and was not read */
    struct http1_body body;
    char type[64]; /* Content-Type */
};

/* 0: its status is 200, and it is to be ended; else the reason is said. */
int ask_flow_open(const struct ask *ask, struct ask_flow *ret_flow);
/* Waits for more of the body, and gives it to `fn`. 0: that was all; 1: there may be more; or
 * -errno. */
int ask_flow_next(struct ask_flow *flow, void (*fn)(void *arg, struct slice data), void *arg);
void ask_flow_close(struct ask_flow *flow);
