/* SPDX-License-Identifier: Apache-2.0
 *
 * ask.h - one question to the admin interface of a gateway that runs, and its answer; it waits.
 *
 * Where that is: --admin ADDR, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901. What
 * opens it is in WEIR_ADMIN_TOKEN.
 */
#pragma once
#include "base/bytes.h"

#define ASK_TIMEOUT_S  10
#define ASK_ANSWER_MAX (65U << 20) /* bytes: the most that an admin interface says, and a head */

struct ask {
    const char *command; /* for messages */
    const char *admin;   /* --admin, or NULL */
    const char *config;  /* -c, or NULL */
    const char *path;    /* with its query */
};

/* The body behind whatever `ret_body` has. The exit status: 0, or the reason is said. */
int ask_admin(const struct ask *ask, struct bytes *ret_body);
