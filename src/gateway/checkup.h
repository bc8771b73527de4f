/* SPDX-License-Identifier: Apache-2.0
 *
 * checkup.h - active health checks: a GET now and then, on a connection of its own, to every
 * endpoint of an upstream that has `health:` written.
 *
 * One worker checks; the verdicts lie where all workers read them. An endpoint counts as healthy
 * until `failures` checks in a row have failed; then it is asked again after `recovery`, and the
 * first check that passes clears it. Where accounts have ways of their own, and nothing goes
 * directly, a check that failed is followed by one on the next way. Who is in maintenance is not
 * asked. A check passes with any 2xx or 3xx within `timeout`. Where the proxy that it goes through
 * has no place for it, or no turn (proxy_limits), it is left out.
 */
#pragma once
#include "gateway/upstream.h"

#include <stdint.h>

struct checkups;

struct checkup_options {
    const struct config_upstream *config;
    struct verdict *verdicts; /* one for each endpoint */
    const struct steer *steer;
    struct http_connector *connector;
    struct loop *loop;
};

/* 0 or -ENOMEM. */
int checkups_new(const struct checkup_options *opt, struct checkups **ret_checkups);
/* From now on, endpoints spread over a second; what the verdicts say holds until then. */
void checkups_begin(struct checkups *checkups);
void checkups_free(struct checkups *take_checkups); /* before its connector */
