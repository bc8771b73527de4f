/* SPDX-License-Identifier: Apache-2.0
 *
 * How a server fares, over all its workers, and what it tells: its pools' events with the figures
 * of the whole, and the change of its health, judged once a second while something goes on.
 */
#include "base/check.h"
#include "client/server.h"
#include "core/health.h"

#include <stdio.h>
#include <string.h>

#define HALF_LIFE_MS 10000U
#define DWELL_MS     5000U

static struct weir_server *writable(const struct weir_server *server)
{
    return (struct weir_server *)(uintptr_t)server; /* to lock it */
}

/* --- figures ------------------------------------------------------------------------------------
 */

static uint64_t sum_at(const struct weir_server *server, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < server->stalls_count; i++) {
        const char *stall = (const char *)&server->stalls[i];
        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(stall + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

#define SUM(field) sum_at(server, offsetof(struct stall, field))

static uint64_t listeners_at(const struct weir_server *server, size_t http1_at, size_t http2_at)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < server->stalls_count; i++) {
        sum += stall_heard(&server->stalls[i], http1_at, http2_at);
    }
    return sum;
}

#define HEARD(field)                                                                               \
    listeners_at(server, offsetof(struct http1_counters, field),                                   \
                 offsetof(struct http2_counters, field))

void weir_server_stats_of(const weir_server *server, weir_server_stats *ret_stats)
{
    weir_server_options opt;
    weir_server_options_of(server, &opt);
    *ret_stats = (weir_server_stats){
        .size = sizeof *ret_stats,
        .connections = weir_server_count(server),
        .max_connections = opt.max_connections,
        .open = (uint32_t)SUM(open),
        .accepted = SUM(added),
        .removed = SUM(removed),
        .rejected = HEARD(refused_full) + HEARD(refused_per_ip),
        .requests = HEARD(requests),
        .answers_2xx = HEARD(answers_2xx),
        .answers_3xx = HEARD(answers_3xx),
        .answers_4xx = HEARD(answers_4xx),
        .answers_5xx = HEARD(answers_5xx),
        .aborted = SUM(aborted),
        .timeouts = HEARD(headers_timeouts) + HEARD(request_timeouts) + HEARD(idle_timeouts)
                    + HEARD(keepalive_timeouts) + HEARD(write_timeouts),
        .bytes_in = HEARD(bytes_in),
        .bytes_out = HEARD(bytes_out),
        .answer_us = SUM(answer_us),
        .answered = SUM(answered),
    };
}

/* --- health -------------------------------------------------------------------------------------
 */

static void halve(struct server_window *window, uint64_t now_ms)
{
    while (now_ms - window->begun_ms >= HALF_LIFE_MS) {
        uint64_t halvings = (now_ms - window->begun_ms) / HALF_LIFE_MS;
        unsigned shift = halvings < 63 ? (unsigned)halvings : 63U;
        window->answered >>= shift;
        window->bad >>= shift;
        window->answer_us >>= shift;
        window->begun_ms += halvings * HALF_LIFE_MS;
    }
}

/* What was counted since the last look. Under the mutex. */
static void add_news(const struct weir_server *server, struct server_window *window)
{
    uint64_t answered = SUM(answered), bad = SUM(bad), answer_us = SUM(answer_us);
    window->answered += answered - window->seen_answered;
    window->bad += bad - window->seen_bad;
    window->answer_us += answer_us - window->seen_us;
    window->seen_answered = answered;
    window->seen_bad = bad;
    window->seen_us = answer_us;
}

static uint32_t clamp(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static struct health_facts facts_of(const struct weir_server *server)
{
    const struct server_window *window = &server->window;
    return (struct health_facts){
        .used = weir_server_count(server),
        .most = server->opt.max_connections == WEIR_UNLIMITED ? 0 : server->opt.max_connections,
        .good = clamp(window->answered - window->bad),
        .bad = clamp(window->bad),
        .now = (weir_health)window->health,
    };
}

/* True: the word has changed. */
static bool judge(struct weir_server *server, uint64_t now_ms, weir_health *ret_health)
{
    char message[sizeof((weir_server_health *)NULL)->message];
    struct server_window *window = &server->window;
    pthread_mutex_lock(&server->mutex);
    halve(window, now_ms);
    add_news(server, window);
    const struct health_facts facts = facts_of(server);
    weir_health health = health_of(&facts, message, sizeof message);
    bool has_dwelt = window->since_ms == 0 || now_ms - window->since_ms >= DWELL_MS;
    bool is_news = health != (weir_health)window->health && has_dwelt;
    if (is_news) {
        window->health = (uint8_t)health;
        window->since_ms = now_ms;
    }
    *ret_health = (weir_health)window->health;
    pthread_mutex_unlock(&server->mutex);
    return is_news;
}

void weir_server_health_of(const weir_server *server, weir_server_health *ret_health)
{
    struct weir_server *own = writable(server);
    weir_server_health health = {.size = sizeof health};
    pthread_mutex_lock(&own->mutex);
    add_news(own, &own->window);
    const struct health_facts facts = facts_of(own);
    const struct server_window *window = &own->window;
    health.health = (weir_health)window->health;
    weir_health fresh = health_of(&facts, health.message, sizeof health.message);
    health.connections = facts.used;
    health.max_connections = own->opt.max_connections;
    health.utilization = facts.most > 0 ? (double)facts.used / facts.most : 0;
    health.error_rate = window->answered > 0 ? (double)window->bad / (double)window->answered : 0;
    health.average_answer_us = window->answered > 0 ? clamp(window->answer_us / window->answered)
                                                    : 0;
    pthread_mutex_unlock(&own->mutex);
    health.rejected = HEARD(refused_full) + HEARD(refused_per_ip);
    if (fresh != health.health) {
        snprintf(health.message, sizeof health.message, "%s for now",
                 weir_health_word(health.health));
    }
    *ret_health = health;
}

/* --- events -------------------------------------------------------------------------------------
 */

static void tell(struct stall *stall, const weir_event *event, weir_event_kind kind)
{
    const struct weir_server *server = stall->server;
    if (server->on_event == NULL || (server->events >> kind & 1) == 0) {
        return;
    }
    weir_event told = *event;
    told.kind = kind;
    told.pool = NULL;
    told.total = weir_server_count(server);
    told.leases = (uint32_t)SUM(open);
    told.idle = told.total > told.leases ? told.total - told.leases : 0;
    told.health = (weir_health)server->window.health;
    server->on_event(server->event_arg, &told);
}

static weir_event event_of(const struct stall *stall)
{
    return (weir_event){.size = sizeof(weir_event),
                        .now_ms = loop_now_ms(stall->loop),
                        .pool_name = stall->pool != NULL ? weir_pool_name(stall->pool)
                                                         : stall->server->member.name};
}

static void judge_and_tell(struct stall *stall)
{
    weir_health health;
    if (judge(stall->server, loop_now_ms(stall->loop), &health)) {
        weir_event event = event_of(stall);
        event.health = health;
        tell(stall, &event, WEIR_EVENT_HEALTH_STATUS_CHANGED);
    }
}

void server_watch(struct stall *stall)
{
    if (!loop_timer_is_set(&stall->look)) {
        loop_timer_set(stall->loop, &stall->look, loop_now_ms(stall->loop) + SERVER_LOOK_MS);
    }
}

void server_look(struct loop_timer *timer, uint64_t now_ms)
{
    struct stall *stall = container_of(timer, struct stall, look);
    struct server_window *window = &stall->server->window;
    (void)now_ms;
    judge_and_tell(stall);
    pthread_mutex_lock(&stall->server->mutex);
    bool is_over = window->health == WEIR_HEALTHY && window->answered == 0;
    pthread_mutex_unlock(&stall->server->mutex);
    if (!is_over) {
        server_watch(stall);
    }
}

void server_on_full(void *self, enum accept_refusal why)
{
    struct stall *stall = self;
    if (why == ACCEPT_FULL && !atomic_exchange(&stall->server->limit_told, true)) {
        weir_event event = event_of(stall);
        event.why = WEIR_EFULL;
        tell(stall, &event, WEIR_EVENT_POOL_LIMIT_REACHED);
    }
    judge_and_tell(stall);
}

static bool is_timeout(weir_err why)
{
    return why == WEIR_EIDLE || why == WEIR_EREAD_TIMEOUT || why == WEIR_EWRITE_TIMEOUT
           || why == WEIR_EFIRST_BYTE_TIMEOUT || why == WEIR_ELEASE_TIMEOUT;
}

static bool is_error(weir_err why)
{
    return why == WEIR_ERESET || why == WEIR_EPROTOCOL || why == WEIR_EBROKEN || why == WEIR_EIO;
}

static void removed(struct stall *stall, const weir_event *event)
{
    if (event->why == WEIR_EMOVED) { /* to the reader of HTTP/2, who adds it again */
        stall_count(&stall->added, (uint64_t)-1);
        tell(stall, event, WEIR_EVENT_CONNECTION_REMOVED);
        return;
    }
    stall_count(&stall->removed, 1);
    atomic_store(&stall->server->limit_told, false);
    if (is_timeout(event->why)) {
        tell(stall, event, WEIR_EVENT_CONNECTION_TIMEOUT);
    } else if (is_error(event->why)) {
        tell(stall, event, WEIR_EVENT_CONNECTION_ERROR);
    }
    tell(stall, event, WEIR_EVENT_CONNECTION_REMOVED);
}

/* Of the pool of one worker. The limits and the health are the server's own. */
void server_on_event(void *self, const weir_event *event)
{
    struct stall *stall = self;
    switch (event->kind) {
    case WEIR_EVENT_CONNECTION_ADDED:
        stall_count(&stall->added, 1);
        tell(stall, event, event->kind);
        judge_and_tell(stall);
        server_watch(stall);
        break;
    case WEIR_EVENT_CONNECTION_REMOVED: removed(stall, event); break;
    case WEIR_EVENT_POOL_CLOSED: stall->pool = NULL; break;
    case WEIR_EVENT_POOL_LIMIT_REACHED:
    case WEIR_EVENT_HEALTH_STATUS_CHANGED:
    case WEIR_EVENT_CONNECTION_TIMEOUT: break;
    default: tell(stall, event, event->kind); break;
    }
}
