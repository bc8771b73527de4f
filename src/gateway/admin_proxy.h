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
#include "gateway/admin_page.h"
