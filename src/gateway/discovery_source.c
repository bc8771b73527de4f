/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/discovery_source.h"

#include "base/check.h"
#include "base/rand.h"
#include "gateway/config_arena.h"
#include "gateway/config_found.h"
#include "gateway/discovery_records.h"
#include "gateway/endpoint_list.h"
#include "gateway/fetcher.h"
#include "io/clock.h"
#include "io/dns_records.h"
#include "io/file.h"
#include "io/oserror.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEAST_MS     1000U /* between two looks */
#define FILE_LOOK_MS 1000U
#define NAME_MAX_LEN 300U

/* What a file is known by: another of any of these is another file, or what it has is new. */
struct file_mark {
    bool is_known;
    int error;    /* it cannot be seen */
    bool is_file; /* nothing that a reader would wait at */
    dev_t device;
    ino_t number;
    off_t size;
    struct timespec changed;
};

struct part {
    struct source *source;
    uint32_t index; /* DNS: of the endpoint that is written */
    struct loop_timer timer;
    struct dns_ask *ask;
    struct fetcher *fetcher;
    bool is_fetching;
    char etag[FETCHER_ETAG_MAX]; /* of what it has */
    struct file_mark mark;
    struct config_arena *arena;
    struct config_endpoints found; /* good if has_found */
    bool has_found;
    bool was_asked;    /* there was an answer, or a failure */
    uint32_t failures; /* in a row */
    char why[DISCOVERY_WHY_MAX];
};

static const struct config_memory memory = {&alloc_libc, CONFIG_ARENA_BLOCK};

static void look(struct part *part);

const char *discovery_result_word(enum discovery_result result)
{
    static const char *const words[] = {
#define DISCOVERY_ROW(name, word) word,
        DISCOVERY_RESULTS(DISCOVERY_ROW)
#undef DISCOVERY_ROW
    };
    return words[result];
}

const char *source_kind(const struct config_upstream *upstream)
{
    if (upstream->discover.file[0] != '\0')
        return "file";
    if (upstream->discover.http[0] != '\0')
        return "http";
    return upstream->discover.dns == DISCOVER_SRV ? "dns srv" : "dns address";
}

static bool is_dns(const struct source *source)
{
    return source->upstream->discover.dns != DISCOVER_OFF;
}

/* --- the set -------------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    const struct config_endpoint *x = a, *y = b;
    int order = strcmp(x->host, y->host);
    return order != 0 ? order : (x->port > y->port) - (x->port < y->port);
}

bool endpoints_are_same(const struct config_endpoints *a, const struct config_endpoints *b)
{
    bool is_same = a->count == b->count;
    for (uint32_t i = 0; is_same && i < a->count; i++) {
        const struct config_endpoint *x = &a->at[i], *y = &b->at[i];
        is_same = compare(x, y) == 0 && strcmp(x->url, y->url) == 0 && strcmp(x->zone, y->zone) == 0
                  && x->weight == y->weight && x->priority == y->priority;
    }
    return is_same;
}

static void add_copy(struct config_arena *arena, struct config_endpoints *set,
                     const struct config_endpoint *of)
{
    if (endpoint_list_has(set, of->host, of->port))
        return;
    struct config_endpoint *it = &set->at[set->count++];
    *it = *of;
    it->url = config_arena_copy(arena, of->url, strlen(of->url));
    it->name = config_arena_copy(arena, of->name, strlen(of->name));
    it->scheme = config_arena_copy(arena, of->scheme, strlen(of->scheme));
    it->host = config_arena_copy(arena, of->host, strlen(of->host));
    it->zone = config_arena_copy(arena, of->zone, strlen(of->zone));
}

static uint32_t room_of(const struct source *source)
{
    uint32_t room = 0;
    for (uint32_t i = 0; i < source->parts_count; i++)
        room += source->parts[i].has_found ? source->parts[i].found.count : 1;
    return room;
}

/* What all parts have; a name of which nothing is known is an endpoint itself, unless it is a
 * service's. False: no memory, or too many. */
static bool gather(const struct source *source, struct config_arena *arena,
                   struct config_endpoints *set)
{
    set->at = config_arena_take(arena, room_of(source) * sizeof(*set->at));
    for (uint32_t i = 0; set->at != NULL && i < source->parts_count; i++) {
        const struct part *part = &source->parts[i];
        for (uint32_t k = 0; part->has_found && k < part->found.count; k++)
            add_copy(arena, set, &part->found.at[k]);
        if (!part->has_found && source->upstream->discover.dns == DISCOVER_ADDRESS)
            add_copy(arena, set, &source->upstream->listed.at[part->index]);
    }
    if (config_arena_is_short(arena) || set->count > source->upstream->discover.max)
        return false;
    if (set->at != NULL && set->count > 0)
        qsort(set->at, set->count, sizeof(*set->at), compare);
    return true;
}

/* Some part has another answer. False: no memory, or too many; it has what it had. */
static bool renew_set(struct source *source)
{
    struct config_arena *arena = config_arena_new(&memory);
    struct config_endpoints set = {0};
    if (arena == NULL || !gather(source, arena, &set)) {
        config_arena_free(arena);
        return false;
    }
    source->is_own = true;
    if (source->has_set && endpoints_are_same(&set, &source->set)) {
        config_arena_free(arena);
        return true;
    }
    config_arena_free(source->arena);
    source->arena = arena;
    source->set = set;
    source->has_set = true;
    source->ops->on_change(source->ops->self, source);
    return true;
}

/* --- what comes of a look ------------------------------------------------------------------------
 */

static uint32_t vary(uint32_t ms)
{
    uint64_t tenth = ms / 10;
    return (uint32_t)(ms - tenth + rand_mix(clock_now_ns()) % (2 * tenth + 1));
}

static void look_in(struct part *part, uint32_t ms)
{
    loop_timer_set(part->source->loop, &part->timer, loop_now_ms(part->source->loop) + ms);
}

/* Soon at first, then less and less often. */
static uint32_t patience_of(const struct part *part)
{
    uint32_t interval_ms = part->source->upstream->discover.interval_ms;
    uint32_t doublings = part->failures < 16 ? part->failures - 1 : 15;
    uint64_t ms = (uint64_t)LEAST_MS << doublings;
    return vary(ms < interval_ms ? (uint32_t)ms : interval_ms);
}

static void look_again(struct part *part, uint32_t in_ms)
{
    look_in(part, part->failures > 0 ? patience_of(part) : in_ms);
}

static void was_asked(struct part *part)
{
    part->source->unasked -= !part->was_asked;
    part->was_asked = true;
}

/* Whether it fails is whether one of its parts does. */
static void judge(struct source *source)
{
    const struct part *failing = NULL;
    for (uint32_t i = 0; failing == NULL && i < source->parts_count; i++)
        if (source->parts[i].failures > 0)
            failing = &source->parts[i];
    bool was_failing = source->is_failing;
    source->is_failing = failing != NULL;
    if (failing != NULL)
        snprintf(source->why, sizeof(source->why), "%s", failing->why);
    else
        source->good_wall_ms = clock_wall_ms();
    if (was_failing != source->is_failing)
        source->ops->on_fault(source->ops->self, source, source->is_failing ? source->why : "");
}

__attribute__((format(printf, 3, 4))) static void failed(struct part *part,
                                                         enum discovery_result result,
                                                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(part->why, sizeof(part->why), format, args);
    va_end(args);
    part->failures++;
    part->source->counts[result]++;
    was_asked(part);
    judge(part->source);
}

/* It has what it had. */
static void confirmed(struct part *part)
{
    part->failures = 0;
    part->source->counts[DISCOVERY_SAME]++;
    was_asked(part);
    judge(part->source);
}

static void took(struct part *part, struct config_arena *take_arena,
                 const struct config_endpoints *found)
{
    struct source *source = part->source;
    if (found->count == 0) {
        config_arena_free(take_arena);
        failed(part, DISCOVERY_EMPTY, "no endpoint is there; what was there before stays");
        return;
    }
    qsort(found->at, found->count, sizeof(*found->at), compare);
    bool is_same = part->has_found && endpoints_are_same(found, &part->found);
    config_arena_free(part->arena);
    part->arena = take_arena;
    part->found = *found;
    part->has_found = true;
    if (!renew_set(source)) {
        failed(part, DISCOVERY_FAILED, "more than %u endpoints in all (discover.max)",
               source->upstream->discover.max);
        return;
    }
    part->failures = 0;
    source->counts[is_same ? DISCOVERY_SAME : DISCOVERY_CHANGED]++;
    was_asked(part);
    judge(source);
}

/* --- lists ---------------------------------------------------------------------------------------
 */

static bool has_scheme(const struct config_endpoints *found, const char *scheme)
{
    for (uint32_t i = 0; i < found->count; i++)
        if (strcmp(found->at[i].scheme, scheme) != 0)
            return false;
    return true;
}

/* False: it was refused, and it was said why. */
static bool take_list(struct part *part, struct slice text, const char *of)
{
    const struct config_upstream *upstream = part->source->upstream;
    const struct endpoint_list_rules rules = {
        .scheme = upstream->discover.scheme == SCHEME_HTTPS ? "https" : "http",
        .most = upstream->discover.max};
    struct config_arena *arena = config_arena_new(&memory);
    struct config_endpoints found = {0};
    char why[ENDPOINT_LIST_WHY_MAX] = "no memory";
    bool is_good = arena != NULL && endpoint_list_read(text, &rules, arena, &found, why);
    if (is_good && !has_scheme(&found, rules.scheme)) {
        snprintf(why, sizeof(why), "an endpoint is not %s://, as discover.scheme has it",
                 rules.scheme);
        is_good = false;
    }
    if (!is_good) {
        config_arena_free(arena);
        failed(part, DISCOVERY_FAILED, "%.60s: %.120s", of, why);
        return false;
    }
    took(part, arena, &found);
    return part->failures == 0;
}

/* --- a file --------------------------------------------------------------------------------------
 */

static struct file_mark mark_of(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) != 0)
        return (struct file_mark){.is_known = true, .error = errno};
    return (struct file_mark){.is_known = true,
                              .is_file = S_ISREG(facts.st_mode),
                              .device = facts.st_dev,
                              .number = facts.st_ino,
                              .size = facts.st_size,
                              .changed = facts.st_mtim};
}

static bool is_same_mark(const struct file_mark *a, const struct file_mark *b)
{
    return a->is_known && b->is_known && a->error == b->error && a->device == b->device
           && a->number == b->number && a->size == b->size && a->changed.tv_sec == b->changed.tv_sec
           && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* 0 or -errno; the text is to be freed. */
static int read_marked(const struct part *part, char **ret_text, size_t *ret_len)
{
    const char *path = part->source->upstream->discover.file;
    if (part->mark.error != 0)
        return -part->mark.error;
    return part->mark.is_file
               ? file_read(path, ENDPOINT_LIST_BYTES_MAX, &alloc_libc, ret_text, ret_len)
               : -EINVAL;
}

static void look_at_file(struct part *part)
{
    const char *path = part->source->upstream->discover.file;
    const struct file_mark mark = mark_of(path);
    char *text = NULL;
    size_t len = 0;
    look_in(part, FILE_LOOK_MS);
    if (is_same_mark(&mark, &part->mark)) {
        if (part->failures == 0)
            confirmed(part);
        return;
    }
    part->mark = mark;
    int error = read_marked(part, &text, &len);
    part->mark.is_known = error == 0; /* what could not be read may be another time, as it is */
    if (error != 0)
        failed(part, DISCOVERY_FAILED, "%.100s: cannot be read: %.60s", path,
               error == -EINVAL ? "no regular file" : oserror_text(error));
    else
        take_list(part, (struct slice){text, (uint32_t)len}, path);
    alloc_free(&alloc_libc, text);
}

/* --- a URL ---------------------------------------------------------------------------------------
 */

static void refused(struct part *part, const struct fetch_end *end)
{
    if (end->is_long)
        failed(part, DISCOVERY_FAILED, "the answer is longer than 1 MiB");
    else if (end->err != WEIR_OK)
        failed(part, DISCOVERY_FAILED, "no answer: %.150s", weir_err_text(end->err));
    else
        failed(part, DISCOVERY_FAILED, "answered with %u", end->status);
}

static void on_fetched(void *self, const struct fetch_end *end)
{
    struct part *part = self;
    part->is_fetching = false;
    if (end->err == WEIR_OK && end->status == 304 && part->has_found) {
        confirmed(part);
    } else if (end->err != WEIR_OK || end->status != 200 || end->is_long) {
        refused(part, end);
    } else if (take_list(part, end->body, "the answer")) {
        snprintf(part->etag, sizeof(part->etag), "%s", end->etag);
    } else {
        part->etag[0] = '\0';
    }
    look_again(part, vary(part->source->upstream->discover.interval_ms));
}

static int open_fetcher(struct part *part)
{
    const struct config_upstream *upstream = part->source->upstream;
    weir_http_field fields[FETCHER_FIELDS_MAX];
    struct fetcher_options opt = {.loop = part->source->loop,
                                  .name = "discover",
                                  .url = upstream->discover.http,
                                  .fields = fields,
                                  .ca = upstream->discover.ca,
                                  .dns_servers = part->source->dns_servers,
                                  .timeout_ms = upstream->discover.timeout_ms,
                                  .body_max = ENDPOINT_LIST_BYTES_MAX,
                                  .on_end = on_fetched,
                                  .self = part};
    for (uint32_t i = 0; i < upstream->discover.headers.count; i++)
        fields[opt.fields_count++] =
            (weir_http_field){.name = upstream->discover.headers.at[i].name,
                              .value = upstream->discover.headers.at[i].value,
                              .secret = true};
    return part->fetcher == NULL ? fetcher_open(&opt, &part->fetcher) : 0;
}

static void look_at_url(struct part *part)
{
    int error = open_fetcher(part);
    weir_err err = error == 0 ? fetcher_get(part->fetcher, part->etag) : WEIR_OK;
    part->is_fetching = error == 0 && err == WEIR_OK;
    if (part->is_fetching)
        return;
    failed(part, DISCOVERY_FAILED, "cannot be asked: %.150s",
           error != 0 ? oserror_text(error) : weir_err_text(err));
    look_in(part, patience_of(part));
}

/* --- DNS -----------------------------------------------------------------------------------------
 */

static const struct config_endpoint *listed_of(const struct part *part)
{
    return &part->source->upstream->listed.at[part->index];
}

static void name_of(const struct part *part, char ret_name[NAME_MAX_LEN])
{
    const struct config_endpoint *listed = listed_of(part);
    bool is_bare = part->source->upstream->discover.dns == DISCOVER_SRV && listed->host[0] != '_';
    if (is_bare)
        snprintf(ret_name, NAME_MAX_LEN, "_%s._tcp.%s", listed->scheme, listed->host);
    else
        snprintf(ret_name, NAME_MAX_LEN, "%s", listed->host);
}

static void take_records(struct part *part, const struct dns_records *records)
{
    struct config_arena *arena = config_arena_new(&memory);
    struct config_endpoints found = {0};
    if (arena != NULL)
        found.at = config_arena_take(arena, records->count * sizeof(*found.at));
    if (found.at != NULL && part->source->upstream->discover.dns == DISCOVER_SRV)
        discovery_services(records, listed_of(part), arena, &found);
    else if (found.at != NULL)
        discovery_addresses(records, listed_of(part), arena, &found);
    if (config_arena_is_short(arena)) {
        config_arena_free(arena);
        failed(part, DISCOVERY_FAILED, "no memory");
        return;
    }
    took(part, arena, &found);
}

/* Where one family failed, all records are of the other: whether something is known that is not. */
static bool has_other_family(const struct part *part, const struct dns_records *records)
{
    bool is_v6 = records->at[0].ip.family == AF_INET6, any = false;
    for (uint32_t i = 0; i < part->found.count; i++)
        any = any || (strchr(part->found.at[i].host, ':') != NULL) != is_v6;
    return any;
}

static uint32_t good_for_ms(const struct part *part, uint32_t ttl_s)
{
    uint32_t interval_ms = part->source->upstream->discover.interval_ms;
    uint64_t ms = (uint64_t)ttl_s * 1000;
    if (ms >= interval_ms)
        return vary(interval_ms);
    return ms > LEAST_MS ? (uint32_t)ms : LEAST_MS;
}

static void on_records(void *self, enum dns_error error, const struct dns_records *records,
                       bool is_half)
{
    struct part *part = self;
    char name[NAME_MAX_LEN];
    uint32_t ms = 0;
    part->ask = NULL;
    name_of(part, name);
    if (error == DNS_NOT_FOUND) {
        failed(part, DISCOVERY_EMPTY, "%.150s: %s", name, dns_error_text(error));
    } else if (error != DNS_OK) {
        failed(part, DISCOVERY_FAILED, "%.150s: %s", name, dns_error_text(error));
    } else if (is_half && has_other_family(part, records)) {
        failed(part, DISCOVERY_FAILED, "%.120s: the addresses of one family only", name);
    } else if (records->is_cut) {
        failed(part, DISCOVERY_FAILED, "%.120s: more than %u endpoints (discover.max)", name,
               part->source->upstream->discover.max);
    } else {
        ms = good_for_ms(part, records->ttl_s);
        take_records(part, records);
    }
    look_again(part, ms);
}

static void look_at_name(struct part *part)
{
    const struct config_upstream *upstream = part->source->upstream;
    enum dns_kind kind = upstream->discover.dns == DISCOVER_SRV ? DNS_SERVICES : DNS_ADDRESSES;
    char name[NAME_MAX_LEN];
    struct ip ip;
    name_of(part, name);
    if (ip_parse(name,
                 &ip)) { /* an address is itself, and is known to be as long as it is looked at */
        struct dns_record record = {.ip = ip};
        take_records(part, &(struct dns_records){.at = &record, .count = 1, .most = 1});
        look_again(part, vary(upstream->discover.interval_ms));
        return;
    }
    const struct dns_question question = {name, kind, upstream->discover.max};
    enum dns_error error = dns_records_ask(part->source->dns, &question, on_records, part,
                                           &part->ask);
    if (error != DNS_OK) {
        failed(part, DISCOVERY_FAILED, "%.150s: %s", name, dns_error_text(error));
        look_in(part, patience_of(part));
    }
}

/* --- life ----------------------------------------------------------------------------------------
 */

static void look(struct part *part)
{
    if (part->ask != NULL || part->is_fetching)
        return;
    if (is_dns(part->source))
        look_at_name(part);
    else if (part->source->upstream->discover.file[0] != '\0')
        look_at_file(part);
    else
        look_at_url(part);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    look(container_of(timer, struct part, timer));
}

static bool keep(struct source *source, const struct config *config)
{
    const struct config *root = config->root != NULL ? config->root : config;
    struct config_arena *keeps = config_arena_new(&memory);
    if (keeps == NULL)
        return false;
    config_arena_join(keeps, root->arena);
    config_arena_free(source->keeps);
    source->keeps = keeps;
    return true;
}

/* Endpoints and an arena of their own. False: no memory. */
static bool copy_set(const struct config_endpoints *set, struct config_arena **ret_arena,
                     struct config_endpoints *ret)
{
    struct config_arena *arena = config_arena_new(&memory);
    struct config_endpoints copy = {0};
    if (arena == NULL)
        return false;
    copy.at = config_arena_take(arena, set->count * sizeof(*copy.at));
    for (uint32_t i = 0; copy.at != NULL && i < set->count; i++)
        add_copy(arena, &copy, &set->at[i]);
    if (config_arena_is_short(arena)) {
        config_arena_free(arena);
        return false;
    }
    *ret_arena = arena;
    *ret = copy;
    return true;
}

/* The part of the elder that looks up the same; NULL: none does. */
static const struct part *part_like(const struct source *elder, const struct part *part)
{
    const struct config_endpoint *is = &part->source->upstream->listed.at[part->index];
    for (uint32_t i = 0; i < elder->parts_count; i++) {
        const struct config_endpoint *was = &elder->upstream->listed.at[elder->parts[i].index];
        if (compare(is, was) == 0 && strcmp(is->scheme, was->scheme) == 0)
            return &elder->parts[i];
    }
    return NULL;
}

/* Names that both look up keep what they had while others are answered. Of a set that is too large
 * for it there are the first ones. */
static void inherit(struct source *source, const struct source *elder)
{
    struct config_endpoints set = elder->set;
    if (set.count > source->upstream->discover.max)
        set.count = source->upstream->discover.max;
    source->has_set = copy_set(&set, &source->arena, &source->set);
    if (!is_dns(source) || source->upstream->discover.dns != elder->upstream->discover.dns)
        return;
    for (uint32_t i = 0; i < source->parts_count; i++) {
        struct part *part = &source->parts[i];
        const struct part *like = part_like(elder, part);
        part->has_found = like != NULL && like->has_found
                          && copy_set(&like->found, &part->arena, &part->found);
    }
}

struct source *source_new(struct loop *loop, struct dns *dns, const struct config *config,
                          const struct config_upstream *upstream, const struct source *elder,
                          const struct source_ops *ops)
{
    struct source *source = calloc(1, sizeof(*source));
    uint32_t parts = upstream->discover.dns != DISCOVER_OFF ? upstream->listed.count : 1;
    if (source == NULL)
        return NULL;
    *source = (struct source){
        .loop = loop, .dns = dns, .ops = ops, .upstream = upstream, .parts_count = parts};
    source->unasked = parts;
    source->parts = calloc(parts, sizeof(*source->parts));
    if (source->parts == NULL || !keep(source, config)) {
        source->parts_count = 0;
        source_free(source);
        return NULL;
    }
    for (uint32_t i = 0; i < parts; i++) {
        struct part *part = &source->parts[i];
        *part = (struct part){.source = source, .index = i, .timer = {.fire = on_timer}};
        look_in(part, 0);
    }
    if (elder != NULL && elder->has_set)
        inherit(source, elder);
    return source;
}

void source_rest(struct source *source)
{
    for (uint32_t i = 0; i < source->parts_count; i++) {
        struct part *part = &source->parts[i];
        fetcher_close(part->fetcher);
        part->fetcher = NULL;
        if (part->is_fetching)
            look_in(part, LEAST_MS);
        part->is_fetching = false;
    }
}

void source_free(struct source *take_source)
{
    if (take_source == NULL)
        return;
    source_rest(take_source);
    for (uint32_t i = 0; i < take_source->parts_count; i++) {
        struct part *part = &take_source->parts[i];
        loop_timer_stop(take_source->loop, &part->timer);
        dns_records_cancel(part->ask);
        config_arena_free(part->arena);
    }
    free(take_source->parts);
    config_arena_free(take_source->arena);
    config_arena_free(take_source->keeps);
    free(take_source);
}

static bool is_same_fields(const struct config_fields *a, const struct config_fields *b)
{
    bool is_same = a->count == b->count;
    for (uint32_t i = 0; is_same && i < a->count; i++)
        is_same = strcmp(a->at[i].name, b->at[i].name) == 0
                  && strcmp(a->at[i].value, b->at[i].value) == 0;
    return is_same;
}

bool source_serves(const struct source *source, const struct config_upstream *upstream)
{
    const struct config_upstream *is = source->upstream;
    return is->discover.dns == upstream->discover.dns
           && strcmp(is->discover.file, upstream->discover.file) == 0
           && strcmp(is->discover.http, upstream->discover.http) == 0
           && is->discover.scheme == upstream->discover.scheme
           && is->discover.max == upstream->discover.max
           && strcmp(is->discover.ca, upstream->discover.ca) == 0
           && is_same_fields(&is->discover.headers, &upstream->discover.headers)
           && (is->discover.dns == DISCOVER_OFF
               || endpoints_are_same(&is->listed, &upstream->listed));
}

bool source_move(struct source *source, const struct config *config,
                 const struct config_upstream *upstream)
{
    source_rest(source); /* its client has texts of the other's */
    if (!keep(source, config))
        return false;
    source->upstream = upstream;
    return true;
}
