/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/verdict.h"

#include "gateway/accounts.h"
#include "gateway/lookout.h"
#include "gateway/relay.h"
#include "gateway/relief.h"
#include "gateway/server.h"
#include "io/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct health_verdict fine = {WEIR_HEALTHY, "nothing to report"};

__attribute__((format(printf, 3, 4))) static void worsen(struct health_verdict *verdict,
                                                         weir_health health, const char *format,
                                                         ...)
{
    va_list args;
    if (health <= verdict->health)
        return;
    va_start(args, format);
    verdict->health = health;
    vsnprintf(verdict->why, sizeof(verdict->why), format, args);
    va_end(args);
}

struct health_verdict verdict_of_pool(const struct census *census, uint32_t pool)
{
    struct health_verdict verdict = fine;
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        if (pool < sheet->pools_count)
            worsen(&verdict, sheet->pools[pool].health.health, "%s",
                   sheet->pools[pool].health.message);
    }
    return verdict;
}

struct health_verdict verdict_of_listener(const struct server *server, const struct census *census,
                                          uint32_t listener)
{
    struct health_verdict verdict = verdict_of_pool(census,
                                                    server->config->upstreams.count + listener);
    if (server->state != SERVER_SERVING)
        worsen(&verdict, WEIR_UNAVAILABLE, "takes no new clients");
    return verdict;
}

/* --- upstreams -----------------------------------------------------------------------------------
 */

static bool is_usable(const struct census *census, uint32_t endpoint)
{
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        if (endpoint < sheet->endpoints_count
            && (!sheet->endpoints[endpoint].healthy
                || sheet->endpoints[endpoint].key_state == WEIR_KEY_DOWN))
            return false;
    }
    return true;
}

static void judge_endpoints(const struct server *server, const struct census *census,
                            uint32_t upstream, struct health_verdict *verdict)
{
    const struct config *config = server->config;
    uint32_t first = 0, count = config->upstreams.at[upstream].endpoints.count, bad = 0;
    for (uint32_t u = 0; u < upstream; u++)
        first += config->upstreams.at[u].endpoints.count;
    for (uint32_t e = 0; e < count; e++)
        bad += !is_usable(census, first + e);
    if (count == 0)
        worsen(verdict, WEIR_UNAVAILABLE, "no endpoint has been found yet");
    if (bad > 0)
        worsen(verdict, bad == count ? WEIR_UNAVAILABLE : WEIR_DEGRADED,
               "%u of %u endpoints are not usable", bad, count);
}

struct health_verdict verdict_of_account(const struct accounts_info *info, uint64_t now_ms)
{
    struct health_verdict verdict = fine;
    enum cooldown_reason reason;
    uint64_t left_ms = cooldown_left(&info->cooldown, (struct slice){"", 0}, now_ms, &reason);
    uint32_t most = info->config->concurrent;
    if (left_ms > 0)
        worsen(&verdict, WEIR_UNAVAILABLE, "cools down (%s) for %llu s", cooldown_word(reason),
               (unsigned long long)(left_ms + 999) / 1000);
    if (most != 0 && info->open >= most)
        worsen(&verdict, WEIR_OVERLOADED, "%u of %u requests at a time", info->open, most);
    return verdict;
}

static void judge_accounts(const struct server *server, uint32_t upstream,
                           struct health_verdict *verdict)
{
    uint32_t count = server->config->upstreams.at[upstream].accounts.count, cooling = 0, full = 0;
    uint64_t now_ms = clock_now_ms();
    for (uint32_t i = 0; i < count; i++) {
        struct accounts_info info;
        accounts_info_of(relay_shared_accounts(server->shared, upstream), i, &info);
        weir_health health = verdict_of_account(&info, now_ms).health;
        cooling += health == WEIR_UNAVAILABLE;
        full += health == WEIR_OVERLOADED;
    }
    if (cooling > 0)
        worsen(verdict, cooling == count ? WEIR_UNAVAILABLE : WEIR_DEGRADED,
               "%u of %u accounts cool down", cooling, count);
    if (full > 0 && cooling + full == count)
        worsen(verdict, WEIR_OVERLOADED, "every account is full or cools down");
}

struct health_verdict verdict_of_upstream(const struct server *server, const struct census *census,
                                          uint32_t upstream)
{
    struct health_verdict verdict = verdict_of_pool(census, upstream);
    judge_endpoints(server, census, upstream, &verdict);
    judge_accounts(server, upstream, &verdict);
    return verdict;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

/* One part that is unavailable does not make the whole so. */
static void worsen_by(struct health_verdict *all, const char *kind, const char *name,
                      const struct health_verdict *part)
{
    weir_health most = part->health == WEIR_UNAVAILABLE ? WEIR_DEGRADED : part->health;
    worsen(all, most, "%s %s: %s", kind, name, part->why);
}

static void judge_alerts(const struct server *server, struct health_verdict *all)
{
    const struct alerts *alerts = lookout_alerts(server->lookout);
    for (uint32_t i = 0; i < alerts_count(alerts); i++) {
        const struct alert *alert = alerts_at(alerts, i);
        if (alert->state == ALERT_FIRING && alert_rule_of(alert->kind) != ALERT_EARLY)
            worsen(all, WEIR_DEGRADED, "alert %s: %s", alert_word(alert->kind), alert->message);
    }
}

static void judge_overload(const struct server *server, struct health_verdict *all)
{
    struct relief_info info;
    char text[RELIEF_TEXT];
    relief_info_of(server->relief, &info);
    relief_print(server->relief, text);
    if (info.overload.level != OVERLOAD_CALM)
        worsen(all, WEIR_OVERLOADED, "%s", text);
}

struct health_verdict verdict_of_all(const struct server *server, const struct census *census)
{
    const struct config *config = server->config;
    struct health_verdict all = fine;
    uint32_t unavailable = 0;
    if (server->state != SERVER_SERVING)
        worsen(&all, WEIR_UNAVAILABLE, "it does not serve");
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        unavailable += verdict_of_upstream(server, census, u).health == WEIR_UNAVAILABLE;
    if (unavailable > 0 && unavailable == config->upstreams.count)
        worsen(&all, WEIR_UNAVAILABLE, "no upstream is available; %s: %s",
               config->upstreams.at[0].name, verdict_of_upstream(server, census, 0).why);
    for (uint32_t u = 0; u < config->upstreams.count; u++) {
        const struct health_verdict part = verdict_of_upstream(server, census, u);
        worsen_by(&all, "upstream", config->upstreams.at[u].name, &part);
    }
    for (uint32_t l = 0; l < config->listeners.count; l++) {
        const struct health_verdict part = verdict_of_listener(server, census, l);
        worsen_by(&all, "listener", config->listeners.at[l].name, &part);
    }
    judge_alerts(server, &all);
    judge_overload(server, &all);
    return all;
}
