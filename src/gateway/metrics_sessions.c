/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_sessions.h"

#include "gateway/affinity.h"
#include "gateway/lookout.h"
#include "gateway/relay.h"
#include "gateway/server.h"

#include <string.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

/* Several of them have one label. */
static void write_affinity(const struct affinities *affinities, struct prom *prom)
{
    static const char *const labels[] = {"new", "hit", "spill", "rebound", "none"};
    prom_family(prom, "weir_affinity_total", PROM_COUNTER,
                "Answers on routes with affinity, by how their conversation was found.");
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        uint64_t sum = 0;
        for (unsigned a = 0; affinities != NULL && a < AFFINITY_COUNT; a++) {
            bool counts = strcmp(affinity_label(a), labels[i]) == 0;
            sum += counts ? affinities_counted(affinities, a) : 0;
        }
        prom_u64(prom, LABELS({"result", labels[i]}), sum);
    }
}

static void write_store(const struct affinities_info *info, struct prom *prom)
{
    prom_family(prom, "weir_affinity_records", PROM_GAUGE,
                "Conversations that are with another account than their first one.");
    prom_u64(prom, NULL, info->records);
    prom_family(prom, "weir_session_recovered_total", PROM_COUNTER,
                "Records that the journal had at the start; lost: there was no room for them.");
    prom_u64(prom, LABELS({"result", "recovered"}), info->recovered);
    prom_u64(prom, LABELS({"result", "lost"}), info->lost);
    prom_family(prom, "weir_session_journal_syncs_total", PROM_COUNTER,
                "How often the journal was brought to the disk.");
    prom_u64(prom, NULL, info->syncs);
    prom_family(prom, "weir_session_store_degraded", PROM_GAUGE,
                "1 while the latest records are in memory alone, though more was asked for.");
    prom_u64(prom, NULL, info->is_degraded);
}

/* The families are there from the start, whatever there is. */
static void write_cluster(const struct affinities_info *info, struct prom *prom)
{
    prom_family(prom, "weir_redis_nodes", PROM_GAUGE,
                "Masters of the Redis Cluster, by whether they serve; absent where it is none.");
    if (info->is_cluster) {
        prom_u64(prom, LABELS({"state", "up"}), info->nodes - info->nodes_down);
        prom_u64(prom, LABELS({"state", "down"}), info->nodes_down);
    }
    prom_family(prom, "weir_redis_slots_uncovered", PROM_GAUGE, "Its slots that nobody serves.");
    if (info->is_cluster) {
        prom_u64(prom, NULL, info->slots_open);
    }
    prom_family(prom, "weir_redis_redirects_total", PROM_COUNTER,
                "Questions that a node of it sent on to another one.");
    prom_u64(prom, LABELS({"reason", "moved"}), info->moved);
    prom_u64(prom, LABELS({"reason", "ask"}), info->asked);
    prom_family(prom, "weir_redis_repeats_total", PROM_COUNTER,
                "Questions that were asked it again, after a pause.");
    prom_u64(prom, NULL, info->repeats);
}

static void write_redis(const struct affinities_info *info, struct prom *prom)
{
    prom_family(prom, "weir_redis_up", PROM_GAUGE,
                "1 while the Redis of sessions.redis answers; absent where there is none.");
    if (info->has_redis) {
        prom_u64(prom, NULL, info->is_redis_up);
    }
    prom_family(prom, "weir_redis_outages_total", PROM_COUNTER, "How often it began not to.");
    prom_u64(prom, NULL, info->outages);
    write_cluster(info, prom);
    prom_family(
        prom, "weir_session_search_pages_total", PROM_COUNTER,
        "Pages of searches for the sessions of all who share it; failed: it did not answer.");
    prom_u64(prom, LABELS({"result", "answered"}), info->pages);
    prom_u64(prom, LABELS({"result", "failed"}), info->pages_local);
    prom_family(prom, "weir_session_lists_spoilt_total", PROM_COUNTER,
                "Lists in it, by which sessions are searched, that were something else: each began "
                "anew, with what this gateway has.");
    prom_u64(prom, NULL, info->lists_spoilt);
    prom_family(prom, "weir_session_store_batches_total", PROM_COUNTER,
                "Batches of records that it was given; failed: it did not take them.");
    prom_u64(prom, LABELS({"result", "written"}), info->writes - info->write_failures);
    prom_u64(prom, LABELS({"result", "failed"}), info->write_failures);
    prom_family(prom, "weir_session_cache_total", PROM_COUNTER,
                "Requests by whether this gateway knew of their conversation without asking it.");
    prom_u64(prom, LABELS({"result", "hit"}), info->cache_hits);
    prom_u64(prom, LABELS({"result", "miss"}), info->cache_misses);
    prom_family(prom, "weir_session_lookups_total", PROM_COUNTER, "Records that it was asked for.");
    prom_u64(prom, LABELS({"result", "found"}), info->found);
    prom_u64(prom, LABELS({"result", "absent"}), info->absent);
    prom_u64(prom, LABELS({"result", "failed"}), info->failed);
}

/* Records, from their beginning to their end. */
static void write_lives(const struct server *server, const weir_sessions_stats *stats,
                        struct prom *prom)
{
    prom_family(prom, "weir_sessions", PROM_GAUGE,
                "Records of conversations; those that never left their first account have none.");
    prom_u64(prom, NULL, stats->live);
    prom_family(prom, "weir_session_created_total", PROM_COUNTER, "Records made.");
    prom_u64(prom, NULL, stats->created);
    prom_family(prom, "weir_session_ended_total", PROM_COUNTER,
                "Records that ended; ttl: by their time, caller: by a command, lost: there was no "
                "room for them.");
    uint64_t all, lost;
    lookout_sessions_ended(stats, &all, &lost);
    prom_u64(prom, LABELS({"reason", "ttl"}), stats->expired);
    prom_u64(prom, LABELS({"reason", "caller"}), stats->ended);
    prom_u64(prom, LABELS({"reason", "lost"}), lost);
    prom_family(prom, "weir_session_cleaned_total", PROM_COUNTER,
                "Records whose time was up, and that were cleaned up.");
    prom_u64(prom, NULL, stats->expired);
    prom_family(prom, "weir_session_survival_ratio", PROM_GAUGE,
                "Records that ended by their time or a caller, of all that ended within an hour; 1 "
                "where none did.");
    prom_double(prom, NULL, alerts_survival(lookout_alerts(server->lookout)));
}

void metrics_sessions_write(const struct server *server, struct prom *prom)
{
    struct affinities *affinities = relay_shared_affinities(server->shared);
    struct affinities_info info = {0};
    weir_sessions_stats stats = {.size = sizeof(stats)};
    if (affinities != NULL) {
        affinities_info_of(affinities, &info);
        weir_sessions_stats_of(affinities_sessions(affinities), &stats);
    }
    write_affinity(affinities, prom);
    write_lives(server, &stats, prom);
    write_store(&info, prom);
    write_redis(&info, prom);
}
