/* SPDX-License-Identifier: Apache-2.0
 *
 * rate_limit.h - when an API that refused a request says it may be asked again.
 *
 *     Retry-After, retry-after-ms                seconds or a date (RFC 9110 §10.2.3); milliseconds
 *     anthropic-ratelimit-*-reset                RFC 3339, or seconds since 1970
 *     x-ratelimit-reset-*                        a duration: "6m0s", "1.5s", "20ms"; or seconds
 *     anthropic-ratelimit-*-remaining, x-ratelimit-remaining-*      which of them are used up
 *
 * A limit that is used up says when the request may come again: the last of them counts. Where none
 * says so Retry-After does, and else the first reset that there is. Any bytes will do; what cannot
 * be understood says nothing, and nothing is later than RATE_LIMIT_MAX_MS from now.
 */
#pragma once
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define RATE_LIMIT_MAX_MS (UINT64_C(8) * 24 * 3600 * 1000) /* limits by the week are known */

struct rate_limit {
    bool has_reset; /* one of the limits said when */
    bool has_retry_after;
    uint64_t reset_ms, retry_after_ms; /* from now */
    /* "opus": the answer says that the limit is that of a family of models; empty: of all. */
    struct slice family;
};

/* wall_ms: now, since 1970. */
void rate_limit_read(const struct http_head *head, uint64_t wall_ms, struct rate_limit *ret_limit);

/* What a family of models is called: that of Anthropic's ("opus"), or the model's name without its
 * date. A part of `model`. */
struct slice rate_limit_family(struct slice model);

/* "2026-11-21T20:30:00Z", with a fraction or an offset if it likes; since 1970. */
bool rate_limit_time(struct slice text, uint64_t *ret_ms);
