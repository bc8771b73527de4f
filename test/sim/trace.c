/* SPDX-License-Identifier: Apache-2.0
 *
 * One line per event, in fixed columns.
 */
#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>

enum { HEAD_EVERY = 50 };

struct columns {
    uint32_t dialling, idle, active, probing, closing, waiting;
};

static void print_id(struct trace_id id)
{
    char text[24] = "";
    switch (id.kind) {
    case 'c': snprintf(text, sizeof text, "c%" PRIu64, id.id); break;
    case 'p': snprintf(text, sizeof text, "pool %" PRIu64, id.id); break;
    case ' ': break;
    default: /* the slot and how often it was used, from an id of base/slots.h */
        snprintf(text, sizeof text, "%c%" PRIx64 ".%" PRIx64, id.kind, id.id & UINT32_MAX,
                 id.id >> 33);
    }
    printf(" %-8s", text);
}

static struct columns count(const struct world *world, uint32_t pool)
{
    struct columns count = {0};
    for (uint32_t i = 0; i < world->conns_top; i++) {
        const struct sim_conn *conn = &world->conns[i];
        if (conn->phase != PHASE_NONE && conn->pool == pool) {
            count.dialling += conn->phase == PHASE_DIALLING;
            count.idle += conn->phase == PHASE_UP && conn->leases == 0;
            count.active += conn->phase == PHASE_UP && conn->leases > 0;
            count.probing += conn->phase == PHASE_PROBING;
            count.closing += conn->phase == PHASE_CLOSING;
        }
    }
    for (uint32_t i = 0; i < world->clients_count; i++) {
        const struct sim_client *client = &world->clients[i];
        count.waiting += client->phase == CLIENT_WAITING && client->pool == pool;
    }
    return count;
}

static void print_key(const struct world *world, const struct trace_line *line)
{
    char text[32];
    const weir_key *key = line->key < world->keys_count ? &world->keys[line->key] : NULL;
    snprintf(text, sizeof text, "%s/%s%s%s", world->pools[line->pool].name,
             key != NULL ? key->host : "", key != NULL && key->tenant != NULL ? "@" : "",
             key != NULL && key->tenant != NULL ? key->tenant : "");
    printf(" %-12s", text);
}

void trace(struct world *world, struct trace_line line)
{
    if (world->steps < world->trace_from) {
        return;
    }
    if (world->traced++ % HEAD_EVERY == 0) {
        printf(
            "    step         time who      did        what     key          dial idle  act prob "
            "clos wait  why\n");
    }
    struct columns columns = count(world, line.pool);
    printf("%8" PRIu64 " %8" PRIu64 ".%03" PRIu64, world->steps, world->now_ms / 1000,
           world->now_ms % 1000);
    print_id(line.who);
    printf(" %-10s", line.did);
    print_id(line.what);
    print_key(world, &line);
    printf(" %4u %4u %4u %4u %4u %4u  %s\n", columns.dialling, columns.idle, columns.active,
           columns.probing, columns.closing, columns.waiting, line.why);
}

void trace_client(struct world *world, const struct sim_client *client, const char *did,
                  const char *why)
{
    trace(world, (struct trace_line){.who = {'c', (uint64_t)(client - world->clients) + 1},
                                     .did = did,
                                     .what = {client->lease != 0 ? 'L' : ' ', client->lease},
                                     .pool = client->pool,
                                     .key = client->key,
                                     .why = why});
}

void trace_conn(struct world *world, const struct sim_conn *conn, const char *did, const char *why)
{
    trace(world, (struct trace_line){.who = {'#', conn->id},
                                     .did = did,
                                     .what = {' ', 0},
                                     .pool = conn->pool,
                                     .key = conn->key,
                                     .why = why});
}

void trace_core(struct world *world, const struct sim_conn *conn, const char *did, const char *why)
{
    trace(world, (struct trace_line){.who = {'p', conn->pool},
                                     .did = did,
                                     .what = {'#', conn->id},
                                     .pool = conn->pool,
                                     .key = conn->key,
                                     .why = why});
}

void trace_pool(struct world *world, const struct sim_pool *pool, const char *did, const char *why)
{
    trace(world, (struct trace_line){.who = {'p', pool->number},
                                     .did = did,
                                     .what = {' ', 0},
                                     .pool = pool->number,
                                     .key = UINT16_MAX,
                                     .why = why});
}
