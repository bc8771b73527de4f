/* SPDX-License-Identifier: Apache-2.0
 *
 * names.h - the names that a pool dials, looked up again whenever their answer has expired.
 *
 * What a name leads to now goes to weir_pool_resolved(), which retires the connections to where it
 * no longer leads. A name is watched from its first dial on, as long as the pool has connections
 * or callers for it, or it was asked for; then it is let go until it is dialled again. Literal
 * addresses do not move. An answer that leaves something out, and a failure, teach nothing; after
 * a failure it is asked again in RETRY_MS. At most NAMES_MAX names of a pool are watched.
 *
 * On the loop of the pool's engine.
 */
#pragma once
#include <weir/weir.h>

#include "io/address.h"

#define NAMES_MAX      1024U
#define NAMES_RETRY_MS 5000U /* after a failed look-up */
#define NAMES_LEAST_MS 1000U /* between two of a name */

struct dns;
struct loop;
struct names;

int names_new(struct loop *loop, struct dns *dns, struct names **ret_names); /* 0 or -ENOMEM */
void names_free(struct names *take_names);
void names_serve(struct names *names, weir_pool *pool);

/* A dial to it begins: where it leads matters from now on. */
void names_watch(struct names *names, const char *host);
/* The key's host, unless it is a proxy that looks it up. NULL: nothing is resolved. */
void names_watch_key(struct names *names, const weir_key *key);
/* The same before the first dial, for a pool that warms up; a literal address is known at once. */
void names_learn(struct names *names, const char *host);

/* A connection of the pool was dialled, and leads there: weir_conn_address(). */
void names_tell_address(weir_pool *pool, weir_conn id, const struct address *peer);

uint32_t names_count(const struct names *names); /* watched now */

/* For weir_conn_address(), and what weir_pool_resolved() is told: never 0. */
uint32_t names_hash(const struct ip *ip);
