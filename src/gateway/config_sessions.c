/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_sessions.h"

#include "base/text.h"
#include "gateway/affinity.h"
#include "gateway/client_keys.h"
#include "io/tls_profile.h"
#include "session/redis.h"
#include "session/redis_url.h"
#include "session/redis_wire.h"

#include <string.h>
#include <sys/stat.h>

/* One run of the checks. */
struct check {
    const struct config *config;
    const struct config_sessions *sessions;
    const struct config_places *places;
    struct config_faults *faults;
};

#define AT(c, field) config_places_of((c)->places, &(field))

/* A record ends with ttl_max: who asks for more would not get it. */
static void check_times(const struct check *c)
{
    const struct config_sessions *s = c->sessions;
    if (s->ttl_ms > s->ttl_max_ms) {
        config_error(c->faults, AT(c, s->ttl_ms), "sessions.ttl is longer than sessions.ttl_max");
    }
    for (uint32_t i = 0; i < c->config->listeners.count; i++) {
        const struct config_listener *listener = &c->config->listeners.at[i];
        for (uint32_t r = 0; r < listener->routes.count; r++) {
            const struct config_route *route = &listener->routes.at[r];
            if (route->affinity.is_on && route->affinity.ttl_ms > s->ttl_max_ms) {
                config_error(c->faults, AT(c, route->affinity.ttl_ms),
                             "listener %s: affinity.ttl is longer than sessions.ttl_max",
                             listener->name);
            }
        }
    }
}

static void check_secret(const struct check *c)
{
    size_t len = strlen(c->sessions->secret);
    if (len > 0 && len < SESSIONS_SECRET_MIN) {
        config_error(c->faults, AT(c, c->sessions->secret),
                     "sessions.secret: %zu characters can be guessed; it needs %u", len,
                     SESSIONS_SECRET_MIN);
    }
}

weir_sessions_redis config_sessions_redis(const struct config_sessions *config)
{
    return (weir_sessions_redis){
        .size = sizeof(weir_sessions_redis),
        .url = config->redis.url,
        .sentinels = config->redis.sentinels[0] != '\0' ? config->redis.sentinels : NULL,
        .cluster = config->redis.cluster == WEIR_ON,
        .prefix = config->redis.prefix,
        .ca = config->redis.ca[0] != '\0' ? config->redis.ca : NULL,
        .replicas = config->redis.wait,
        .timeout_ms = config->redis.timeout_ms,
        .batch_max = config->batch};
}

/* Each word of `store` promises something that another option has to make true, or must not. */
static void check_store(const struct check *c)
{
    const struct config_sessions *s = c->sessions;
    bool has_redis = s->redis.url[0] != '\0', has_path = s->path[0] != '\0';
    const char *why = "";
    switch (s->store) {
    case STORE_AUTO: return;
    case STORE_MEMORY: why = has_redis ? "memory asks no Redis, and there is redis.url" : ""; break;
    case STORE_HYBRID:
        why = !has_redis  ? "hybrid needs redis.url"
              : !has_path ? "hybrid keeps a journal, too, and needs a path"
                          : "";
        break;
    case STORE_REDIS:
        why = !has_redis ? "redis needs redis.url"
              : has_path ? "redis keeps no journal, and there is a path; hybrid has both"
                         : "";
        break;
    }
    if (why[0] != '\0') {
        config_error(c->faults, AT(c, s->store), "sessions.store: %s", why);
    }
}

static void check_redis_files(const struct check *c)
{
    const struct config_sessions *s = c->sessions;
    const struct tls_profile_options opt = {.ca = s->redis.ca};
    struct tls_profile *profile;
    struct tls_fault fault;
    if (s->redis.ca[0] == '\0') {
        return;
    }
    if (tls_profile_read(&opt, &profile, &fault) != 0) {
        config_error(c->faults, AT(c, s->redis.ca), "sessions.redis.ca: %s", fault.text);
    } else {
        tls_profile_free(profile);
    }
}

static void check_no_redis(const struct check *c, const weir_sessions_redis *redis)
{
    const struct config_sessions *s = c->sessions;
    if (s->redis.ca[0] != '\0' || s->redis.wait != 0 || redis->sentinels != NULL
        || redis->cluster) {
        config_error(c->faults,
                     s->redis.wait != 0         ? AT(c, s->redis.wait)
                     : redis->sentinels != NULL ? AT(c, s->redis.sentinels)
                     : redis->cluster           ? AT(c, s->redis.cluster)
                                                : AT(c, s->redis.ca),
                     "sessions.redis: there is no url");
    }
}

/* Which of the three that it may be. */
static void tell_url(const struct check *c, const weir_sessions_redis *redis)
{
    const struct config_sessions *s = c->sessions;
    if (redis->cluster) {
        config_error(c->faults, AT(c, s->redis.url),
                     "sessions.redis.url is none of a Cluster: "
                     "redis[s]://[[user]:password@]host[:port][,host[:port]]..., at most %u, "
                     "without a number",
                     REDIS_HOSTS_MAX);
    } else if (redis->sentinels != NULL) {
        config_error(
            c->faults, AT(c, s->redis.url),
            "sessions.redis.url is none: redis[s]://[[user]:password@]master[/number], where "
            "master is the name that the sentinels have for it, without a port");
    } else {
        config_error(
            c->faults, AT(c, s->redis.url),
            "sessions.redis.url is none: redis[s]://[[user]:password@]host[:port][/number], "
            "user and password percent-encoded");
    }
}

/* `word`: the field that is wrong. */
static void tell_redis(const struct check *c, const weir_sessions_redis *redis, const char *word)
{
    const struct config_sessions *s = c->sessions;
    if (strcmp(word, "redis.prefix") == 0) {
        config_error(c->faults, AT(c, s->redis.prefix),
                     "sessions.redis.prefix: at most %u bytes, none of them a brace",
                     REDIS_PREFIX_MAX);
    } else if (strcmp(word, "redis.ca") == 0) {
        config_error(c->faults, AT(c, s->redis.ca),
                     "sessions.redis.ca is for rediss://, and the url is redis://");
    } else if (strcmp(word, "redis.sentinels") == 0) {
        config_error(c->faults, AT(c, s->redis.sentinels),
                     "sessions.redis.sentinels is none: "
                     "redis[s]://[[user]:password@]host[:port][,host[:port]]..., at most %u",
                     REDIS_HOSTS_MAX);
    } else if (strcmp(word, "redis.cluster") == 0) {
        config_error(c->faults, AT(c, s->redis.cluster),
                     "sessions.redis.cluster: a Cluster looks after itself, and there are "
                     "redis.sentinels");
    } else {
        tell_url(c, redis);
    }
}

static void check_redis(const struct check *c, bool opens_files)
{
    const struct config_sessions *s = c->sessions;
    const weir_sessions_redis redis = config_sessions_redis(s);
    if (s->redis.url[0] == '\0') {
        check_no_redis(c, &redis);
        return;
    }
    const char *word = redis_store_fault(&redis);
    if (word != NULL) {
        tell_redis(c, &redis, word);
    } else if (opens_files) {
        check_redis_files(c);
    }
    if (s->secret[0] == '\0' && s->path[0] == '\0') {
        config_error(
            c->faults, AT(c, s->redis.url),
            "sessions.redis: without sessions.secret nothing is found again after a start, "
            "nor by another gateway");
    } else if (s->secret[0] == '\0') {
        config_advise(c->faults, AT(c, s->redis.url),
                      "sessions.secret is empty: gateways that share a Redis find each other's "
                      "records only if they have the same one");
    }
}

static void check_path(const struct check *c, bool opens_files)
{
    const struct config_sessions *s = c->sessions;
    struct slice path = slice_of(s->path);
    char parent[4096];
    struct stat seen;
    if (path.len == 0) {
        if (s->fsync_ms != SESSIONS_FSYNC_MS) {
            config_error(c->faults, AT(c, s->fsync_ms),
                         "sessions.fsync is for a journal, and there is no sessions.path");
        }
        return;
    }
    while (path.len > 1 && path.at[path.len - 1] == '/') {
        path.len--;
    }
    while (path.len > 1 && path.at[path.len - 1] != '/') {
        path.len--;
    }
    slice_copy(parent, sizeof parent, path);
    if (opens_files && (stat(parent, &seen) != 0 || !S_ISDIR(seen.st_mode))) {
        config_error(c->faults, AT(c, s->path),
                     "sessions.path: %s would be made, but there is no directory %s", s->path,
                     parent);
    }
}

void config_check_sessions(const struct config *config, const struct config_places *places,
                           bool opens_files, struct config_faults *faults)
{
    const struct check c = {config, &config->sessions, places, faults};
    check_times(&c);
    check_secret(&c);
    check_store(&c);
    check_redis(&c, opens_files);
    check_path(&c, opens_files);
    bool has_path = config->sessions.path[0] != '\0';
    bool is_kept = affinity_is_used(config) || (!has_path && client_keys_are_shared(config));
    if ((has_path || config->sessions.redis.url[0] != '\0') && !is_kept) {
        config_advise(faults,
                      has_path ? AT(&c, config->sessions.path) : AT(&c, config->sessions.redis.url),
                      "no route has affinity: sessions has nothing to keep");
    }
}
