/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_proxy.h - POST /api/v1/proxies/test: one way through a proxy, gone once, on the hub's loop.
 *
 *     {"upstream": "NAME"}                          its proxy, to its first endpoint,
 *     {"upstream": "NAME", "endpoint": "NAME"}      or to that one
 *     {"proxy": "socks5://…", "target": "host:port"}
 *
 * The answer says whether the way is open, how long each step took, and which one failed and why;
 * no secret is in it.
 */
#pragma once
#include "base/bytes.h"
#include "base/text.h"
#include "gateway/server.h"

#define ADMIN_INPUT_MAX (64U << 10) /* bytes of a command's body */

struct admin_proxy;
/* `status`: of the answer whose body was written. */
typedef void admin_proxy_fn(void *self, uint16_t status);

/* done() comes once, later, when `out` has the body; unless it was cancelled. NULL: it is answered
 * already: *ret_status and `out` say how. */
struct admin_proxy *admin_proxy_start(const struct server *server, struct slice command,
                                      struct bytes *out, admin_proxy_fn *done, void *self,
                                      uint16_t *ret_status);
void admin_proxy_cancel(struct admin_proxy *take_proxy);
