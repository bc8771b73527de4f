/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_pause.c - requests to an upstream that an operator has paused: they wait for the end of
 * that, as many as may wait for its pool and as long as they would wait for a connection. And what
 * is told to go of the connections that there are.
 */
#include "base/alloc.h"
#include "base/check.h"
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

/* A key with its texts: the pool's own may go while it is flushed. */
struct key_copy {
    struct key_copy *next;
    weir_key key;
    char room[];
};

struct gathering {
    const struct config_endpoint *endpoint;
    struct key_copy *first;
};

static const char *copy_text(const char *text, char **room)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*room, text, size);
    *room += size;
    return copy;
}

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

/* Without memory for one it keeps its connections until they are idle for too long. */
static bool gather(void *arg, const weir_key_info *info)
{
    struct gathering *gathering = arg;
    const weir_key *key = info->key;
    const struct config_endpoint *endpoint = gathering->endpoint;
    if (key->port != endpoint->port || strcmp(key->host, endpoint->host) != 0
        || strcmp(key->scheme, endpoint->scheme) != 0) {
        return true;
    }
    size_t size = size_of(key->scheme) + size_of(key->host) + size_of(key->source)
                  + size_of(key->proxy) + size_of(key->tls) + size_of(key->tenant);
    struct key_copy *copy = alloc_zeroed(&alloc_libc, sizeof *copy + size);
    if (copy == NULL) {
        return false;
    }
    char *room = copy->room;
    copy->key = (weir_key){.scheme = copy_text(key->scheme, &room),
                           .host = copy_text(key->host, &room),
                           .port = key->port,
                           .source = copy_text(key->source, &room),
                           .proxy = copy_text(key->proxy, &room),
                           .tls = copy_text(key->tls, &room),
                           .tenant = copy_text(key->tenant, &room)};
    copy->next = gathering->first;
    gathering->first = copy;
    return true;
}

void relay_flush_endpoint(struct relay *relay, uint32_t upstream, uint32_t endpoint,
                          uint32_t grace_ms)
{
    struct upstream *of = &relay->upstreams[upstream];
    weir_pool *pools[] = {of->pool, of->openclaw != NULL ? openclaw_pool(of->openclaw) : NULL};
    check(endpoint < of->count);
    for (unsigned i = 0; i < sizeof pools / sizeof *pools && pools[i] != NULL; i++) {
        struct gathering gathering = {.endpoint = of->endpoints[endpoint].config};
        weir_pool_each_key(pools[i], gather, &gathering);
        while (gathering.first != NULL) {
            struct key_copy *copy = gathering.first;
            gathering.first = copy->next;
            weir_pool_flush(pools[i], &copy->key, grace_ms);
            alloc_free(&alloc_libc, copy);
        }
    }
}
