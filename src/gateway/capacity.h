/* SPDX-License-Identifier: Apache-2.0
 *
 * capacity.h - whether the pools of upstreams are as large as what comes needs, from live figures.
 *
 * Arrivals × hold time is how many leases are held on average (Little 1961); with so many
 * connections and arrivals at random, how long callers wait follows from that (Erlang 1917). The
 * figures are those of the last minute: samples are taken on the hub's thread, a few a minute.
 */
#pragma once
#include "gateway/census.h"

#include <stdbool.h>
#include <stdint.h>

#define CAPACITY_SAMPLES  12U
#define CAPACITY_EVERY_MS 5000U
#define CAPACITY_MOST     1000000U /* connections that are advised at most */
#define CAPACITY_WAIT_PART                                                                         \
    0.01 /* of callers that may have to wait where the size is as advised                          \
          */

struct capacity;

struct capacity *capacity_new(struct server *server); /* or NULL: no memory */
/* By the configuration in force; samples stay with the pools of the same name. False: no memory,
 * and it goes on by the one before. */
bool capacity_renew(struct server *server, struct capacity **capacity);
void capacity_free(struct capacity *take_capacity); /* NULL is fine */

/* The part of callers that wait, where `servers` serve an offered load of `load` (Erlang C); 1
 * where it is too much for them. */
double capacity_erlang_c(double load, uint32_t servers);
/* The least number of servers at which that part is CAPACITY_WAIT_PART at most. */
uint32_t capacity_servers_for(double load);
