/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - `weir check`: what `weir serve` would say to a file, and whether its endpoints can be
 * reached, on every way that requests will take.
 */
#include "cli/command.h"
#include "cli/faults.h"
#include "gateway/config_fault.h"
#include "gateway/config_way.h"
#include "gateway/discovery.h"
#include "gateway/engine_room.h"
#include "gateway/pressure.h"
#include "gateway/probe.h"
#include "gateway/process.h"
#include "io/loop.h"
#include "proto/json.h"

#include <string.h>

/* Tells what came of a way; `told` were told before. */
typedef void tell_fn(const struct probe_way *way, const struct trial_result *result, uint32_t told);

/* The next account that takes this way, from number `first` on; NULL: no more. */
static const char *account_on(const struct probe_way *way, uint32_t *first)
{
    for (uint32_t i = *first; i < way->upstream->accounts.count; i++)
        if (strcmp(config_way(way->upstream, i), way->proxy) == 0) {
            *first = i + 1;
            return way->upstream->accounts.at[i].name;
        }
    return NULL;
}

static void tell_text(const struct probe_way *way, const struct trial_result *result, uint32_t told)
{
    (void)told;
    uint32_t next = 0, exit_us = result->step_us[DIAL_PASSING];
    printf("%s/%s", way->upstream->name, way->endpoint->name);
    for (const char *name = account_on(way, &next), *word = " as "; name != NULL;
         name = account_on(way, &next), word = ", ")
        printf("%s%s", word, name);
    if (result->error != DIAL_OK) {
        printf(": advice: cannot connect (%s): %s\n", dial_step_text(result->step), result->why);
        return;
    }
    printf(": connected in %u.%03u ms", result->took_us / 1000, result->took_us % 1000);
    if (way->proxy[0] != '\0')
        printf(", of them %u.%03u from the proxy on", exit_us / 1000, exit_us % 1000);
    printf("\n");
}

static void tell_json(const struct probe_way *way, const struct trial_result *result, uint32_t told)
{
    char room[8192];
    struct json json = json_into(room, sizeof(room));
    uint32_t next = 0;
    bool is_open = result->error == DIAL_OK;
    json_open(&json, NULL, '{');
    json_text(&json, "upstream", way->upstream->name);
    json_text(&json, "endpoint", way->endpoint->name);
    json_open(&json, "accounts", '[');
    for (const char *name; (name = account_on(way, &next)) != NULL;)
        json_text(&json, NULL, name);
    json_close(&json, ']');
    json_bool(&json, "open", is_open);
    json_text(&json, "step", is_open ? NULL : dial_step_text(result->step));
    json_text(&json, "why", is_open ? NULL : result->why);
    json_fixed(&json, "seconds", result->took_us, 6);
    if (way->proxy[0] != '\0')
        json_fixed(&json, "exit_seconds", result->step_us[DIAL_PASSING], 6);
    json_close(&json, '}');
    if (!json.full)
        printf("%s\n%.*s", told > 0 ? "," : "", (int)json.len, json.at);
}

/* --- endpoints that are found --------------------------------------------------------------------
 */

static void tell_source(const struct config_upstream *upstream, const struct source *source)
{
    if (source->is_failing)
        printf("upstream %s: discovery (%s) failed: %s\n", upstream->name, source_kind(upstream),
               source->why);
    else if (source->unasked > 0)
        printf("upstream %s: discovery (%s) has no answer within its timeout\n", upstream->name,
               source_kind(upstream));
    else
        printf("upstream %s: discovery (%s): %u endpoints\n", upstream->name, source_kind(upstream),
               upstream->endpoints.count);
}

static void tell_sources(const struct config *config, const struct discovery *discovery)
{
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        const struct config_upstream *upstream = &config->upstreams.at[i];
        const struct source *source = discovery_source(discovery, upstream->name);
        if (source != NULL)
            tell_source(upstream, source);
    }
}

/* The same configuration with what is found now; NULL: it cannot be looked for. */
static struct config *with_found(const struct config *config, bool tells)
{
    struct discovery *discovery = NULL;
    struct config *with = NULL;
    struct loop *loop;
    if (loop_new(&(struct loop_options){0}, &loop) != 0)
        return NULL;
    if (discovery_open(loop, config, &discovery) == 0 && discovery_wait(discovery) == 0)
        with = discovery_config(discovery, config);
    if (with != NULL && tells)
        tell_sources(with, discovery);
    discovery_close(discovery);
    loop_free(loop);
    return with;
}

static void probe_upstream(const struct config *config, const struct config_upstream *upstream,
                           tell_fn *tell, uint32_t *told)
{
    struct trial_result result;
    for (uint32_t e = 0; e < upstream->endpoints.count; e++)
        for (uint32_t a = 0; a < config_ways(upstream); a++) {
            const struct probe_way way = {.upstream = upstream,
                                          .endpoint = &upstream->endpoints.at[e],
                                          .proxy = config_way(upstream, a)};
            if (config_way_is_new(upstream, a)) {
                probe_try(config, &way, &result);
                tell(&way, &result, (*told)++);
            }
        }
}

static void probe_all(const struct config *written, tell_fn *tell)
{
    uint32_t told = 0;
    struct config *config = with_found(written, tell == tell_text);
    if (config == NULL) {
        fprintf(stderr, "weir check: endpoints cannot be looked for: no memory\n");
        return;
    }
    for (uint32_t u = 0; u < config->upstreams.count; u++)
        probe_upstream(config, &config->upstreams.at[u], tell, &told);
    config_free(config);
}

static void print_json(const struct config *config, const struct config_faults *faults, bool probe)
{
    printf("{");
    faults_print_json(stdout, faults);
    if (probe && config != NULL) {
        printf(",\"probes\":[");
        probe_all(config, tell_json);
        printf("\n]");
    }
    printf("}\n");
}

/* What the configuration alone does not tell: what it would be allowed where this runs. */
static void judge_descriptors(const struct config *config, const char *path,
                              struct config_faults *faults)
{
    const struct engine_room room = engine_room_of(config);
    uint64_t needed = engine_room_descriptors(&room);
    uint32_t allowed = process_raise_descriptors();
    if (needed > allowed)
        config_advise(
            faults, (struct config_place){path, 1, 1},
            "all limits of connections together need %llu file descriptors, of which %u "
            "are allowed here: lower max_connections of listeners and upstreams, or raise "
            "the limit (ulimit -Hn, LimitNOFILE of systemd)",
            (unsigned long long)needed, allowed);
}

static void judge_memory(const struct config *config, const char *path,
                         struct config_faults *faults)
{
    struct pressure pressure;
    pressure_init(&pressure,
                  &(struct pressure_options){.root = "", .memory = config->overload.memory});
    uint64_t needed = engine_room_memory(config), allowed = pressure.use[OVERLOAD_MEMORY].most;
    if (allowed > 0 && needed > allowed)
        config_advise(
            faults, (struct config_place){path, 1, 1},
            "all limits together may need %llu MiB of memory (64 KiB for each client, 150 "
            "bytes for each conversation), of which %llu are allowed here: lower "
            "max_connections of listeners or sessions.max, or allow more "
            "(overload.memory, memory.max of the control group)",
            (unsigned long long)(needed >> 20), (unsigned long long)(allowed >> 20));
}

int command_check(int count, char **words)
{
    const char *path = NULL, *format = "text";
    bool probe = false;
    const struct command_option options[] = {{"-c", &path, NULL},
                                             {"--config", &path, NULL},
                                             {"--format", &format, NULL},
                                             {"--probe", NULL, &probe},
                                             {0}};
    int left = command_options("check", count, words, options);
    if (left == 1 && path == NULL)
        path = words[0];
    bool json = strcmp(format, "json") == 0;
    if (left < 0 || left > 1 || path == NULL || (!json && strcmp(format, "text") != 0)) {
        fprintf(stderr, "usage: weir check -c FILE [--format text|json] [--probe]\n");
        return EXIT_USAGE;
    }
    struct config_faults faults;
    struct config *config = config_read(path, &faults);
    bool valid = config != NULL;
    if (valid) {
        judge_descriptors(config, path, &faults);
        judge_memory(config, path, &faults);
    }
    if (json)
        print_json(config, &faults, probe);
    else
        faults_print(stdout, &faults, true);
    if (probe && valid && !json)
        probe_all(config, tell_text);
    if (valid && !json)
        printf("%s: valid: %u listeners, %u upstreams\n", path, config->listeners.count,
               config->upstreams.count);
    config_free(config);
    config_faults_free(&faults);
    return valid ? 0 : 1;
}
