/* SPDX-License-Identifier: Apache-2.0
 *
 * clients.h - how many requests each client has open, over all workers: for
 * limits.concurrent_per_client.
 *
 * A client is an address. Whoever takes a seat holds it until it is given back, so the count is
 * what is really open. The table is bounded; where it is full a client that is not in it yet is
 * not limited. Sharded by address, a lock per shard, taken for a few instructions; routes without
 * the limit never come here.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define CLIENTS_MAX 65536U

struct clients;

int clients_new(struct clients **ret_clients); /* 0 or -ENOMEM */
void clients_free(struct clients *take_clients);

/* False: the client has `most` requests open already. *ret_seat is what to give back; 0: nothing.
 */
bool clients_take(struct clients *clients, const uint8_t address[16], uint32_t most,
                  uint32_t *ret_seat);
void clients_give(struct clients *clients, uint32_t seat);
