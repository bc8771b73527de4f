/* SPDX-License-Identifier: Apache-2.0
 *
 * rush.c - the end of a world of several engines: two tenants with as many callers each, who ask
 * again at once, want more than there is. Each has them at some of the engines, in equal parts, and
 * one to three keys. When it ends the one has been served as often as the other.
 */
#include "sim/shared_world.h"

#include <stdio.h>
#include <string.h>

enum {
    RUSH_CALLERS = 24,
    RUSH_TOTAL_MAX = 8,
    RUSH_BEGINS = 600, /* grants, until those of before are paid for */
    RUSH_GRANTS = 2400,
    RUSH_MS_MAX = 60000,
    RUSH_OFF = RUSH_GRANTS / 2 / 20 + 32 /* a twentieth, and a few turns of TURN_GRANTS */
};

/* The reference: as many for the one tenant as for the other. */
static void judge_rush(uint32_t first_key)
{
    uint64_t served[2] = {0};
    for (uint32_t i = 0; i < RUSH_KEYS; i++) {
        served[i % 2] += all.served[first_key + i];
    }
    uint64_t off = served[0] > served[1] ? served[0] - served[1] : served[1] - served[0];
    if (off > RUSH_OFF) {
        shared_wrong("in a rush two tenants were served %llu and %llu times with %u connections",
                     (unsigned long long)served[0], (unsigned long long)served[1],
                     all.opt.max_total);
    }
}

/* A millisecond of it. */
static void rush_on(void)
{
    all.now_ms++;
    for (uint32_t w = 0; w < all.workers_count; w++) {
        struct worker *worker = &all.workers[w];
        while (rand_chance(&all.late, 900) && shared_carry(worker)) {
        }
        for (uint32_t c = 0; c < CONNS_MAX; c++) {
            if (worker->conns[c].phase != NONE && worker->conns[c].phase != UP
                && rand_chance(&all.late, 500)) {
                shared_answer(worker, &worker->conns[c], true);
            }
        }
    }
    for (uint32_t i = 0; i < all.clients_count; i++) {
        struct client *client = &all.clients[i];
        if (client->phase == HOLDING && client->until_ms <= all.now_ms) {
            shared_release(client);
        }
        if (client->phase == AWAY) {
            shared_ask(client);
        }
    }
    shared_turn();
}

static uint64_t served_both(uint32_t first_key)
{
    uint64_t served = 0;
    for (uint32_t i = 0; i < RUSH_KEYS; i++) {
        served += all.served[first_key + i];
    }
    return served;
}

static void rush_until(uint32_t first_key, uint64_t served)
{
    for (int i = 0; i < RUSH_MS_MAX && served_both(first_key) < served && !all.failed; i++) {
        rush_on();
    }
    if (!all.failed && served_both(first_key) < served) {
        shared_wrong("a rush comes to a halt with %u connections", all.opt.max_total);
    }
}

static void update_all(void)
{
    for (uint32_t w = 0; w < all.workers_count; w++) {
        weir_pool_options opt = all.opt;
        opt.connector_self = &all.workers[w];
        if (weir_pool_update(all.workers[w].pool, &opt) != WEIR_OK) {
            shared_wrong("the options cannot be changed");
        }
    }
}

/* A limit, and keys of two tenants, that is theirs. */
static void rush_open(uint32_t first_key)
{
    uint32_t total = (uint32_t)rand_between(&all.late, 1, RUSH_TOTAL_MAX);
    all.names = all.warm = false;
    all.streams = 1;
    all.opt.warm = WEIR_OFF;
    all.keys_count = first_key + RUSH_KEYS;
    for (uint32_t i = 0; i < RUSH_KEYS; i++) {
        char *host = all.hosts[first_key + i];
        snprintf(host, sizeof all.hosts[0], "r%u", i);
        all.keys[first_key + i] =
            (weir_key){.scheme = "sim", .host = host, .port = 1, .tenant = all.tenants[i % 2]};
    }
    update_all();
    shared_calm();
    for (uint32_t w = 0; w < all.workers_count; w++) { /* none is left of the others */
        weir_pool_flush(all.workers[w].pool, NULL, 0);
    }
    shared_calm();
    all.opt.max_total = all.opt.max_per_key = total;
    update_all();
    shared_calm();
}

void shared_rush(void)
{
    uint32_t first_key = all.keys_count;
    rush_open(first_key);
    all.clients_count = 2 * RUSH_CALLERS;
    for (uint32_t tenant = 0; tenant < 2; tenant++) {
        uint32_t keys = (uint32_t)rand_between(&all.late, 1, RUSH_KEYS / 2);
        uint32_t engines = (uint32_t)rand_between(&all.late, 1, all.workers_count);
        uint32_t from = (uint32_t)rand_below(&all.late, all.workers_count);
        for (uint32_t i = 0; i < RUSH_CALLERS; i++) {
            struct client *client = &all.clients[2 * i + tenant];
            client->engine = (from + i % engines) % all.workers_count;
            client->key = first_key + i / engines % keys * 2 + tenant;
        }
    }
    rush_until(first_key, RUSH_BEGINS);
    memset(all.served, 0, sizeof all.served);
    rush_until(first_key, RUSH_GRANTS);
    judge_rush(first_key);
}
