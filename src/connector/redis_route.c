/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_route.c - a route's way: whom it asks, what it makes of the answers, and when it gives up.
 */
#include "base/check.h"
#include "connector/redis_cluster.h"
#include "connector/redis_cluster_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HASTE         2U    /* redirections without a pause */
#define FRESH_MS      1000U /* for so long it is believed that nobody serves a slot */
#define ASKING        "*1\r\n$6\r\nASKING\r\n"
#define ASKING_MAX    (32U << 20)
#define REPLY_OK_EACH 2U /* to ASKING, and to the command */

static void go(struct redis_route *route);
static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void on_done(struct redis_call *call, const struct redis_outcome *outcome);
static void pause_over(struct loop_timer *timer, uint64_t now_ms);
static void ending(struct loop_later *later);

/* --- the end ------------------------------------------------------------------------------------
 */

static struct loop *loop_of(const struct redis_route *route)
{
    return route->cluster->opt.loop;
}

static void tell(struct redis_route *route, const struct redis_outcome *outcome)
{
    route->state = REDIS_ROUTE_IDLE;
    bytes_fini(&route->asking);
    route->done(route, outcome);
}

static void ending(struct loop_later *later)
{
    struct redis_route *route = container_of(later, struct redis_route, ending);
    const struct redis_outcome outcome = {
        .err = route->err, .was_sent = route->call.was_sent, .run_id = "", .detail = route->detail};
    tell(route, &outcome);
}

/* Why, and where; told later in the turn. */
static void fail(struct redis_route *route, weir_err err, const char *why)
{
    struct redis_cluster *cluster = route->cluster;
    route->err = err;
    redis_tally(&cluster->counters.failed, cluster->counters.failed + 1);
    snprintf(route->detail, sizeof route->detail,
             "slot %u at %.60s:%u: %.60s (sent on %u times, repeated %u times)",
             (unsigned)route->slot, route->place.host[0] != '\0' ? route->place.host : "nobody",
             (unsigned)route->place.port, why, (unsigned)route->redirects,
             (unsigned)route->repeats);
    route->state = REDIS_ROUTE_ENDING;
    loop_later(loop_of(route), &route->ending);
}

/* --- once more ----------------------------------------------------------------------------------
 */

/* What the node is to be left alone for; a slot that moves is not. */
static bool is_nodes_fault(weir_err err, enum redis_says says)
{
    return says != REDIS_FINE ? says == REDIS_CLUSTERDOWN || says == REDIS_LOADING
                                    || says == REDIS_MASTERDOWN || says == REDIS_READONLY
                              : err != WEIR_EQUEUE && err != WEIR_EFULL;
}

static const char *why_of(weir_err err, enum redis_says says)
{
    return says != REDIS_FINE ? redis_says_word(says) : weir_err_word(err);
}

/* For want of time: by what was heard last, since the last attempt may have had no time at all. */
static void give_up(struct redis_route *route)
{
    struct redis_cluster *cluster = route->cluster;
    if (is_nodes_fault(route->err, route->before)) {
        redis_cluster_mark(cluster, &route->place, true);
    }
    bool is_unmapped = route->place.host[0] == '\0' && cluster->detail[0] != '\0';
    fail(route, route->err, is_unmapped ? cluster->detail : why_of(route->err, route->before));
}

static void note_failure(struct redis_route *route, weir_err err, enum redis_says says)
{
    bool is_late = err == WEIR_ETOTAL_TIMEOUT || err == WEIR_EACQUIRE_TIMEOUT;
    if (!is_late || route->before == REDIS_FINE) {
        route->err = err;
        route->before = says;
    }
}

/* After a pause the slot's master is asked, whoever that is by then. */
static void repeat(struct redis_route *route, weir_err err, enum redis_says says)
{
    struct redis_cluster *cluster = route->cluster;
    uint64_t now_ms = loop_now_ms(loop_of(route));
    uint64_t pause_ms = (uint64_t)REDIS_PAUSE_MS << (route->repeats < 6 ? route->repeats : 6);
    pause_ms = pause_ms < REDIS_PAUSE_MAX_MS ? pause_ms : REDIS_PAUSE_MAX_MS;
    pause_ms = rand_jitter(&cluster->rand, pause_ms, 25);
    route->is_asking = false;
    note_failure(route, err, says);
    if (is_nodes_fault(err, says)) {
        redis_cluster_want(cluster, NULL);
    }
    if (now_ms + pause_ms >= route->deadline_ms) {
        give_up(route);
        return;
    }
    route->repeats++;
    redis_tally(&cluster->counters.repeated, cluster->counters.repeated + 1);
    route->state = REDIS_ROUTE_PAUSED;
    loop_timer_set(loop_of(route), &route->timer, now_ms + pause_ms);
}

static void pause_over(struct loop_timer *timer, uint64_t now_ms)
{
    struct redis_route *route = container_of(timer, struct redis_route, timer);
    (void)now_ms;
    go(route);
}

/* False: it was sent on too often, and has failed. */
static bool may_go_on(struct redis_route *route)
{
    if (route->redirects == REDIS_REDIRECTS_MAX) {
        fail(route, WEIR_EREFUSED, "sent on in a circle");
        return false;
    }
    route->redirects++;
    return true;
}

static void moved(struct redis_route *route)
{
    struct redis_cluster *cluster = route->cluster;
    redis_tally(&cluster->counters.moved, cluster->counters.moved + 1);
    route->is_asking = false;
    if (!may_go_on(route)) {
        return;
    }
    redis_cluster_moved(cluster, route->slot, &route->to);
    if (route->redirects <= HASTE) {
        go(route);
    } else { /* they do not agree yet */
        repeat(route, WEIR_EREFUSED, REDIS_MOVED);
    }
}

/* All of it is there; else some keys are here, and some are there, until all have moved. */
static void asked_away(struct redis_route *route)
{
    struct redis_cluster *cluster = route->cluster;
    if (route->asks < route->count) {
        repeat(route, WEIR_EREFUSED, REDIS_TRYAGAIN);
        return;
    }
    redis_tally(&cluster->counters.asked, cluster->counters.asked + 1);
    if (may_go_on(route)) {
        route->is_asking = true;
        route->place = route->to;
        go(route);
    }
}

/* --- asking -------------------------------------------------------------------------------------
 */

static bool write_asking(struct redis_route *route)
{
    struct slice rest = route->commands;
    struct resp_reader reader;
    size_t whole;
    if (bytes_len(&route->asking) > 0) {
        return true;
    }
    resp_reader_init(&reader, NULL);
    while (rest.len > 0 && (whole = resp_read(&reader, rest.at, rest.len)) > 0) {
        if (!bytes_append_slice(&route->asking, SLICE(ASKING))
            || !bytes_append(&route->asking, rest.at, whole)) {
            return false;
        }
        rest = slice_sub(rest, (uint32_t)whole, rest.len);
    }
    return rest.len == 0;
}

static void say(struct redis_route *route)
{
    struct redis_cluster *cluster = route->cluster;
    uint64_t now_ms = loop_now_ms(loop_of(route));
    const weir_key key = {
        .scheme = cluster->opt.scheme, .host = route->place.host, .port = route->place.port};
    bool is_asking = route->is_asking;
    if (is_asking && !write_asking(route)) {
        fail(route, WEIR_ENOMEM, weir_err_word(WEIR_ENOMEM));
        return;
    }
    route->says = REDIS_FINE;
    route->asks = 0;
    route->call.on_reply = on_reply;
    route->call.done = on_done;
    route->call.commands = is_asking ? bytes_slice(&route->asking) : route->commands;
    route->call.count = is_asking ? REPLY_OK_EACH * route->count : route->count;
    route->state = REDIS_ROUTE_ASKED;
    redis_call_begin(cluster->opt.connector, &route->call, &key,
                     (uint32_t)(route->deadline_ms - now_ms));
}

/* Nobody serves the slot: there was no map yet, or it is so. */
static void wait_for_map(struct redis_route *route)
{
    const struct redis_cluster *cluster = route->cluster;
    bool is_sure = cluster->map_ms != 0 && loop_now_ms(loop_of(route)) < cluster->map_ms + FRESH_MS;
    route->place = (struct redis_place){.port = 0};
    if (cluster->is_denied) {
        redis_cluster_want(route->cluster, NULL); /* somebody may mend it */
        fail(route, WEIR_EDENIED, cluster->detail);
    } else if (is_sure && !route->is_stubborn) {
        fail(route, WEIR_EDOWN, "nobody serves it");
    } else {
        repeat(route, WEIR_EDOWN, REDIS_FINE);
    }
}

static void go(struct redis_route *route)
{
    struct redis_cluster *cluster = route->cluster;
    if (loop_now_ms(loop_of(route)) >= route->deadline_ms) {
        give_up(route);
        return;
    }
    if (!route->is_asking) {
        const struct redis_place *owner = redis_cluster_find(cluster, route->slot);
        if (owner == NULL) {
            wait_for_map(route);
            return;
        }
        route->place = *owner;
        const struct redis_node *node = redis_cluster_node(cluster, owner);
        if (node != NULL && node->is_down && !route->is_stubborn) {
            fail(route, WEIR_EDOWN, "it has failed others");
            return;
        }
    }
    say(route);
}

/* --- hearing ------------------------------------------------------------------------------------
 */

static bool is_problem(enum redis_says says)
{
    return says == REDIS_MOVED || says == REDIS_ASK || says == REDIS_TRYAGAIN
           || says == REDIS_CLUSTERDOWN || says == REDIS_LOADING || says == REDIS_MASTERDOWN
           || says == REDIS_READONLY;
}

/* MOVED is about all of it; of the others the first counts. */
static void note(struct redis_route *route, enum redis_says says, struct slice error)
{
    uint16_t slot;
    bool is_sent = says == REDIS_MOVED || says == REDIS_ASK;
    if (is_sent
        && (!redis_moved_read(error, &route->place, &slot, &route->to) || slot != route->slot)) {
        says = REDIS_CROSSSLOT; /* where to, it does not say, or of what it was not asked */
    }
    route->asks += says == REDIS_ASK;
    if (route->says == REDIS_FINE || route->says == REDIS_ASK || says == REDIS_MOVED) {
        route->says = says;
    }
}

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct redis_route *route = container_of(call, struct redis_route, call);
    enum redis_says says = value->type == RESP_FAILED ? redis_says_of(value->text) : REDIS_FINE;
    if (route->cluster == NULL) {
        route->on_reply(route, index, value, inside);
        return;
    }
    if (route->is_asking && index % REPLY_OK_EACH == 0) {
        return; /* to ASKING */
    }
    if (is_problem(says)) {
        note(route, says, value->text);
    } else if (route->says == REDIS_FINE && route->on_reply != NULL) {
        route->on_reply(route, route->is_asking ? index / REPLY_OK_EACH : index, value, inside);
    }
}

static void answered(struct redis_route *route, const struct redis_outcome *outcome)
{
    struct redis_outcome own = *outcome;
    switch (route->says) {
    case REDIS_FINE:
        redis_cluster_mark(route->cluster, &route->place, false);
        own.replies = route->count;
        tell(route, &own);
        break;
    case REDIS_MOVED: moved(route); break;
    case REDIS_ASK: asked_away(route); break;
    case REDIS_CROSSSLOT: fail(route, WEIR_EPROTOCOL, "it sends on what it was not asked"); break;
    default: repeat(route, WEIR_EREFUSED, route->says); break;
    }
}

static void on_done(struct redis_call *call, const struct redis_outcome *outcome)
{
    struct redis_route *route = container_of(call, struct redis_route, call);
    if (route->cluster == NULL) {
        tell(route, outcome);
    } else if (outcome->err == WEIR_OK) {
        answered(route, outcome);
    } else if (outcome->err == WEIR_ENOMEM || outcome->err == WEIR_ECLOSED) {
        fail(route, outcome->err, weir_err_word(outcome->err));
    } else if (redis_cluster_denies(route->cluster, outcome->err)) {
        enum redis_says says = redis_connector_refusal(route->cluster->opt.connector);
        redis_cluster_mark(route->cluster, &route->place, true);
        fail(route, WEIR_EDENIED, redis_says_word(says));
    } else {
        repeat(route, outcome->err, REDIS_FINE);
    }
}

/* --- as its owner has it ------------------------------------------------------------------------
 */

void redis_route_begin(struct redis_cluster *cluster, struct redis_route *route,
                       uint32_t timeout_ms)
{
    check(route->state == REDIS_ROUTE_IDLE && route->count > 0 && timeout_ms != WEIR_NEVER);
    route->cluster = cluster;
    route->redirects = route->repeats = 0;
    route->before = REDIS_FINE;
    route->err = WEIR_ETOTAL_TIMEOUT;
    route->is_asking = false;
    route->place = (struct redis_place){.port = 0};
    route->call.was_sent = false;
    route->timer.fire = pause_over;
    route->ending.run = ending;
    bytes_init(&route->asking, cluster->opt.alloc, ASKING_MAX);
    route->deadline_ms = loop_now_ms(cluster->opt.loop) + timeout_ms;
    go(route);
}

void redis_route_to(struct redis_connector *connector, struct redis_route *route,
                    const weir_key *key, uint32_t timeout_ms)
{
    check(route->state == REDIS_ROUTE_IDLE);
    route->cluster = NULL;
    route->asking = (struct bytes){0};
    route->call.on_reply = on_reply;
    route->call.done = on_done;
    route->call.commands = route->commands;
    route->call.count = route->count;
    route->state = REDIS_ROUTE_ASKED;
    redis_call_begin(connector, &route->call, key, timeout_ms);
}

void redis_route_cancel(struct redis_route *route)
{
    if (route->state == REDIS_ROUTE_IDLE) {
        return;
    }
    redis_call_cancel(&route->call);
    if (route->cluster != NULL) {
        loop_timer_stop(loop_of(route), &route->timer);
        loop_later_cancel(loop_of(route), &route->ending);
        bytes_fini(&route->asking);
    }
    route->state = REDIS_ROUTE_IDLE;
}
