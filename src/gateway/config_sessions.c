/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_sessions.h"

#include "base/text.h"
#include "gateway/affinity.h"

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
    check_path(&c, opens_files);
    if (config->sessions.path[0] != '\0' && !affinity_is_used(config)) {
        config_advise(faults, AT(&c, config->sessions.path),
                      "no route has affinity: sessions has nothing to keep");
    }
}
