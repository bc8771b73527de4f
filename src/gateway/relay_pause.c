/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_pause.c - requests to an upstream that an operator has paused: they wait for the end of
 * that, as many as may wait for its pool and as long as they would wait for a connection. And what
 * is told to go of the connections that there are.
 */
#include "base/check.h"
#include "gateway/key_flush.h"
#include "gateway/openclaw.h"
#include "gateway/relay_parts.h"
#include "gateway/steer.h"

static void on_turn(struct waiter *wait, bool is_late)
{
    struct transit *transit = container_of(wait, struct transit, wait);
    bool is_paused = steer_is_paused(transit->upstream->steer);
    if (is_paused && !is_late) {
        return;
    }
    transit_leave_pause(transit);
    if (is_paused) {
        transit_refuse(transit, FAULT_ACQUIRE_TIMEOUT, 1000);
    } else {
        transit_begin(transit, held_head(&transit->held));
    }
}

bool pause_passes(struct transit *transit)
{
    struct upstream *upstream = transit->upstream;
    if (!steer_is_paused(upstream->steer)) {
        return true;
    }
    uint32_t most = upstream->config->pool.waiting_max;
    most = most == WEIR_NONE ? 0 : most;
    if (atomic_load(&upstream->steer->pause->hall.waiting) >= most) {
        transit_refuse(transit, FAULT_QUEUE_FULL, 1000);
        return false;
    }
    transit->waits_for_resume = true;
    transit_get_in_line(transit, &upstream->pause_line, on_turn);
    return false;
}

void transit_leave_pause(struct transit *transit)
{
    if (transit->waits_for_resume) {
        transit->waits_for_resume = false;
        wait_line_leave(&transit->upstream->pause_line, &transit->wait);
    }
}

/* --- one endpoint's connections ------------------------------------------------------------------
 */

static bool leads_to(const void *self, const weir_key *key)
{
    const struct config_endpoint *endpoint = self;
    return key->port == endpoint->port && strcmp(key->host, endpoint->host) == 0
           && strcmp(key->scheme, endpoint->scheme) == 0;
}

void relay_flush_endpoint(struct relay *relay, uint32_t upstream, uint32_t endpoint,
                          uint32_t grace_ms)
{
    struct upstream *of = &relay->upstreams[upstream];
    weir_pool *pools[] = {of->pool, of->openclaw != NULL ? openclaw_pool(of->openclaw) : NULL};
    check(endpoint < of->count);
    for (unsigned i = 0; i < sizeof pools / sizeof *pools && pools[i] != NULL; i++) {
        key_flush(pools[i], leads_to, of->endpoints[endpoint].config, grace_ms);
    }
}
