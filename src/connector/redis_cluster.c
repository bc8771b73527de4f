/* SPDX-License-Identifier: Apache-2.0
 *
 * The map: who is asked for it, and what becomes of what is known of its nodes.
 */
#include "connector/redis_cluster.h"

#include "base/check.h"
#include "connector/redis_cluster_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_MAX 256U

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void on_done(struct redis_call *call, const struct redis_outcome *outcome);
static void timer_fire(struct loop_timer *timer, uint64_t now_ms);

/* --- opening ------------------------------------------------------------------------------------
 */

int redis_cluster_new(const struct redis_cluster_options *opt, struct redis_cluster **ret_cluster)
{
    const struct slice words[] = {SLICE("CLUSTER"), SLICE("SLOTS")};
    struct redis_cluster *cluster = alloc_zeroed(opt->alloc, sizeof *cluster);
    check(opt->count > 0);
    if (cluster == NULL) {
        return -ENOMEM;
    }
    cluster->opt = *opt;
    cluster->timer.fire = timer_fire;
    bytes_init(&cluster->command, opt->alloc, COMMAND_MAX);
    rand_init(&cluster->rand, opt->seed);
    cluster->atlas = alloc_zeroed(opt->alloc, sizeof *cluster->atlas);
    cluster->next = alloc_zeroed(opt->alloc, sizeof *cluster->next);
    if (cluster->atlas == NULL || cluster->next == NULL
        || !resp_command(&cluster->command, words, 2)) {
        redis_cluster_free(cluster);
        return -ENOMEM;
    }
    redis_map_clear(&cluster->atlas->map);
    redis_tally(&cluster->counters.uncovered, REDIS_SLOTS);
    *ret_cluster = cluster;
    return 0;
}

void redis_cluster_free(struct redis_cluster *take_cluster)
{
    if (take_cluster == NULL) {
        return;
    }
    redis_cluster_stop(take_cluster);
    bytes_fini(&take_cluster->command);
    alloc_free(take_cluster->opt.alloc, take_cluster->next);
    alloc_free(take_cluster->opt.alloc, take_cluster->atlas);
    alloc_free(take_cluster->opt.alloc, take_cluster);
}

void redis_cluster_stop(struct redis_cluster *cluster)
{
    loop_timer_stop(cluster->opt.loop, &cluster->timer);
    redis_call_cancel(&cluster->call);
    cluster->is_asking = cluster->is_wanted = false;
}

const struct redis_cluster_counters *redis_cluster_counters(const struct redis_cluster *cluster)
{
    return &cluster->counters;
}

/* --- nodes --------------------------------------------------------------------------------------
 */

static uint32_t node_in(const struct redis_map *map, const struct redis_place *place)
{
    uint32_t i = 0;
    while (i < map->count && !redis_place_same(&map->nodes[i], place)) {
        i++;
    }
    return i;
}

static void count_nodes(struct redis_cluster *cluster)
{
    const struct redis_atlas *atlas = cluster->atlas;
    uint32_t down = 0;
    for (uint32_t i = 0; i < atlas->map.count; i++) {
        down += atlas->nodes[i].is_down;
    }
    redis_tally(&cluster->counters.nodes, atlas->map.count);
    redis_tally(&cluster->counters.down, down);
    redis_tally(&cluster->counters.uncovered, REDIS_SLOTS - atlas->map.covered);
}

const struct redis_place *redis_cluster_find(const struct redis_cluster *cluster, uint16_t slot)
{
    return redis_map_find(&cluster->atlas->map, slot);
}

struct redis_node *redis_cluster_node(struct redis_cluster *cluster,
                                      const struct redis_place *place)
{
    struct redis_atlas *atlas = cluster->atlas;
    uint32_t i = node_in(&atlas->map, place);
    return i < atlas->map.count ? &atlas->nodes[i] : NULL;
}

void redis_cluster_mark(struct redis_cluster *cluster, const struct redis_place *place,
                        bool is_down)
{
    struct redis_node *node = redis_cluster_node(cluster, place);
    if (node != NULL && node->is_down != is_down) {
        node->is_down = is_down;
        count_nodes(cluster);
    }
}

bool redis_cluster_meet(struct redis_cluster *cluster, const struct redis_place *place,
                        const char *run_id)
{
    struct redis_node *node = redis_cluster_node(cluster, place);
    if (node == NULL) {
        return false;
    }
    bool is_same = node->is_met && strcmp(node->run_id, run_id) == 0;
    snprintf(node->run_id, sizeof node->run_id, "%s", run_id);
    node->is_met = true;
    return is_same;
}

void redis_cluster_moved(struct redis_cluster *cluster, uint16_t slot,
                         const struct redis_place *place)
{
    struct redis_atlas *atlas = cluster->atlas;
    uint32_t before = atlas->map.count;
    if (redis_map_set(&atlas->map, slot, place)) { /* else the map will tell */
        if (atlas->map.count > before) {
            atlas->nodes[before] = (struct redis_node){.is_met = false};
        }
        count_nodes(cluster);
    }
    redis_cluster_want(cluster, place);
}

/* What was read is what is known; who is no master any more is forgotten, so that it is a stranger
 * when it comes back. */
static void adopt(struct redis_cluster *cluster)
{
    struct redis_atlas *fresh = cluster->next, *old = cluster->atlas;
    for (uint32_t i = 0; i < fresh->map.count; i++) {
        uint32_t was = node_in(&old->map, &fresh->map.nodes[i]);
        fresh->nodes[i] = was < old->map.count ? old->nodes[was] : (struct redis_node){0};
    }
    cluster->atlas = fresh;
    cluster->next = old;
    cluster->map_ms = loop_now_ms(cluster->opt.loop);
    redis_tally(&cluster->counters.maps, cluster->counters.maps + 1);
    count_nodes(cluster);
}

/* --- asking for the map -------------------------------------------------------------------------
 */

/* Who was named, those that are known, those that were written down. False: that is all. */
static bool candidate(struct redis_cluster *cluster, uint32_t n)
{
    const struct redis_map *map = &cluster->atlas->map;
    bool has_hint = cluster->hint.host[0] != '\0';
    if (has_hint && n == 0) {
        cluster->asked = cluster->hint;
        return true;
    }
    n -= has_hint;
    if (n < map->count) {
        cluster->asked = map->nodes[(cluster->first + n) % map->count];
        return true;
    }
    n -= map->count;
    if (n < cluster->opt.count) {
        cluster->asked = cluster->opt.seeds[n];
        return true;
    }
    return false;
}

bool redis_cluster_denies(const struct redis_cluster *cluster, weir_err err)
{
    enum redis_says says = redis_connector_refusal(cluster->opt.connector);
    return (err == WEIR_EDENIED || err == WEIR_EDOWN)
           && (says == REDIS_NOAUTH || says == REDIS_WRONGPASS || says == REDIS_NOPERM);
}

static void end_question(struct redis_cluster *cluster)
{
    uint64_t pause_ms = rand_jitter(&cluster->rand, REDIS_MAP_PAUSE_MS, 50);
    cluster->is_asking = false;
    cluster->hint.host[0] = '\0';
    cluster->first++; /* not always the same one */
    cluster->pause_ms = loop_now_ms(cluster->opt.loop) + pause_ms;
    if (cluster->is_wanted) {
        redis_cluster_want(cluster, &cluster->later);
    }
}

static void ask_next(struct redis_cluster *cluster)
{
    if (!candidate(cluster, cluster->tried)) {
        redis_tally(&cluster->counters.unmapped, cluster->counters.unmapped + 1);
        end_question(cluster);
        return;
    }
    const weir_key key = {
        .scheme = cluster->opt.scheme, .host = cluster->asked.host, .port = cluster->asked.port};
    cluster->fault = "it says nothing";
    cluster->call.on_reply = on_reply;
    cluster->call.done = on_done;
    cluster->call.commands = bytes_slice(&cluster->command);
    cluster->call.count = 1;
    redis_call_begin(cluster->opt.connector, &cluster->call, &key, cluster->opt.timeout_ms);
}

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct redis_cluster *cluster = container_of(call, struct redis_cluster, call);
    (void)index;
    cluster->fault = redis_map_read(value, inside, &cluster->asked, &cluster->next->map);
}

static void on_done(struct redis_call *call, const struct redis_outcome *outcome)
{
    struct redis_cluster *cluster = container_of(call, struct redis_cluster, call);
    if (outcome->err == WEIR_OK && cluster->fault == NULL) {
        cluster->is_denied = false;
        adopt(cluster);
        end_question(cluster);
        return;
    }
    bool is_denied = redis_cluster_denies(cluster, outcome->err);
    cluster->is_denied = cluster->is_denied || is_denied;
    snprintf(cluster->detail, sizeof cluster->detail, "%.64s:%u: %.64s", cluster->asked.host,
             (unsigned)cluster->asked.port,
             is_denied ? redis_says_word(redis_connector_refusal(cluster->opt.connector))
             : outcome->err != WEIR_OK ? weir_err_word(outcome->err)
                                       : cluster->fault);
    cluster->tried++;
    ask_next(cluster);
}

static void timer_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct redis_cluster *cluster = container_of(timer, struct redis_cluster, timer);
    (void)now_ms;
    cluster->is_asking = true;
    cluster->is_wanted = false;
    cluster->tried = 0;
    ask_next(cluster);
}

void redis_cluster_want(struct redis_cluster *cluster, const struct redis_place *hint)
{
    struct loop *loop = cluster->opt.loop;
    uint64_t now_ms = loop_now_ms(loop);
    if (cluster->is_asking) { /* what comes may be older than what the hint was told for */
        cluster->is_wanted = cluster->is_wanted || hint != NULL;
        cluster->later = hint != NULL ? *hint : cluster->later;
        return;
    }
    if (hint != NULL) {
        cluster->hint = *hint;
    }
    if (!loop_timer_is_set(&cluster->timer)) {
        loop_timer_set(loop, &cluster->timer,
                       now_ms > cluster->pause_ms ? now_ms : cluster->pause_ms);
    }
}
