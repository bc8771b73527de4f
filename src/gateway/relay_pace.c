/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_pace.c - how long requests would wait for upstreams, told to who lets clients in: pace.h,
 * for each listener of this worker. It looks while somebody waits, and not otherwise.
 */
#include "gateway/pace.h"
#include "gateway/relay_parts.h"
#include "io/loop.h"

/* Requests that have left the upstreams of a listener so far. Each counts once, however many routes
 * lead there. */
static uint64_t ended_of(struct relay *relay, const struct config_listener *config)
{
    uint64_t ended = 0, count = ++relay->pace_counts;
    for (uint32_t i = 0; i < config->routes.count; i++) {
        struct upstream *upstream = &relay->upstreams[config->routes.at[i].upstream];
        if (upstream->pace_count != count) {
            weir_stats stats = {.size = sizeof stats};
            upstream->pace_count = count;
            weir_pool_stats(upstream->pool, &stats);
            ended += stats.released;
        }
    }
    return ended;
}

/* At the one that would be had soonest. */
static uint32_t strain_of(struct relay *relay, const struct config_listener *config)
{
    uint32_t least = config->routes.count > 0 ? UINT32_MAX : 0;
    for (uint32_t i = 0; i < config->routes.count && least > 0; i++) {
        uint32_t strain = upstream_strain(&relay->upstreams[config->routes.at[i].upstream]);
        least = strain < least ? strain : least;
    }
    return least;
}

static void pace_lane(struct relay *relay, uint32_t index)
{
    struct lane *lane = &relay->lanes[index];
    uint32_t strain = strain_of(relay, lane->config);
    bool was_on = lane->pace.is_on;
    if (!was_on && strain < PACE_BEGINS) {
        return;
    }
    uint32_t clients = pace_look(&lane->pace, strain, ended_of(relay, lane->config));
    if (!was_on) {
        count_one(&lane->paced);
    }
    relay->opt.on_pace(relay->opt.pace_self, index, clients, was_on != lane->pace.is_on);
}

static void on_look(struct loop_timer *timer, uint64_t now_ms)
{
    struct relay *relay = container_of(timer, struct relay, pace_timer);
    const struct config *config = relay->opt.config;
    bool goes_on = false;
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        pace_lane(relay, i);
        goes_on |= relay->lanes[i].pace.is_on;
    }
    for (uint32_t i = 0; i < config->upstreams.count && !goes_on; i++) {
        goes_on = upstream_has_waiting(&relay->upstreams[i]);
    }
    if (goes_on) {
        loop_timer_set(relay->opt.loop, timer, now_ms + PACE_LOOK_MS);
    }
}

void pace_begin(struct relay *relay)
{
    if (relay->opt.on_pace != NULL && !loop_timer_is_set(&relay->pace_timer)) {
        relay->pace_timer.fire = on_look;
        loop_timer_set(relay->opt.loop, &relay->pace_timer,
                       loop_now_ms(relay->opt.loop) + PACE_LOOK_MS);
    }
}

uint64_t relay_paced(const struct relay *relay, uint32_t listener)
{
    return count_read(&relay->lanes[listener].paced);
}
