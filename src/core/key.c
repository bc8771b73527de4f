/* SPDX-License-Identifier: Apache-2.0 */
#include "core/key.h"

#include "base/text.h"
#include "core/mutant.h"
#include "core/turns.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The canonical form: number of the pool, port, then six texts, each with its NUL. */
#define TEXT_NUMBER 4
#define TEXT_PORT   2
#define TEXT_FIELDS 6

#define HANGUPS_TO_LEARN 3
#define HANGUP_APART_S   2U /* at least one second, as these are whole ones */
#define LESSON_S         3600U

/* ASCII capitals among eight bytes become small letters. */
static inline uint64_t lower_eight(uint64_t x)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t low = x & each * 0x7f;
    uint64_t from_a = low + each * (0x80 - 'A');
    uint64_t behind_z = low + each * (0x7f - 'Z');
    uint64_t capitals = (from_a ^ behind_z) & ~x & each * 0x80;
    return x | capitals >> 2;
}

/* Eight at a time, the last eight perhaps twice. */
static inline void copy_lower(char *to, const char *from, size_t len)
{
    uint64_t x;
    if (len < 8) {
        for (size_t i = 0; i < len; i++) {
            to[i] = text_lower(from[i]);
        }
        return;
    }
    for (size_t i = 0; i + 8 < len; i += 8) {
        memcpy(&x, from + i, 8);
        x = lower_eight(x);
        memcpy(to + i, &x, 8);
    }
    memcpy(&x, from + len - 8, 8);
    x = lower_eight(x);
    memcpy(to + len - 8, &x, 8);
}

/* Appends a text with its NUL; false where it does not fit. */
static inline bool append(struct key_text *text, const char *field, bool is_lowered)
{
    size_t len = field != NULL && *field != '\0' ? strlen(field) : 0;
    if (len >= WEIR_KEY_BYTES_MAX - text->len) {
        return false;
    }
    if (len > 0 && is_lowered) {
        copy_lower(text->at + text->len, field, len);
    } else if (len > 0) {
        memcpy(text->at + text->len, field, len);
    }
    text->at[text->len + len] = '\0';
    text->len += (uint32_t)len + 1;
    return true;
}

bool key_canonical(const weir_pool *pool, const weir_key *key, struct key_text *ret_text)
{
    memcpy(ret_text->at, &pool->number, TEXT_NUMBER);
    memcpy(ret_text->at + TEXT_NUMBER, &key->port, TEXT_PORT);
    ret_text->len = TEXT_NUMBER + TEXT_PORT;
    const char *scheme = key->scheme != NULL ? key->scheme : pool->connector->scheme;
    const char *tenant = MUTANT(23) ? NULL : key->tenant;
    if (!append(ret_text, scheme, true) || !append(ret_text, key->host, true)
        || !append(ret_text, key->source, false) || !append(ret_text, key->proxy, false)
        || !append(ret_text, key->tls, false) || !append(ret_text, tenant, false)) {
        return false;
    }
    ret_text->hash = XXH3_64bits_withSeed(ret_text->at, ret_text->len, pool->engine->hash_seed);
    return true;
}

struct key *key_find(const weir_pool *pool, const struct key_text *text)
{
    const struct map *map = &pool->engine->by_key;
    for (uint32_t i = map_seek(map, text->hash); map->entries[i].value != NULL;
         i = map_after(map, i)) {
        if (map->entries[i].hash != text->hash) {
            continue;
        }
        struct key *key = map->entries[i].value;
        if (key->text_len == text->len && memcmp(key->text, text->at, text->len) == 0) {
            return key;
        }
    }
    return NULL;
}

/* Points the view into the text; an empty optional field is NULL. */
static void view_text(struct key *key)
{
    const char *fields[TEXT_FIELDS];
    const char *at = key->text + TEXT_NUMBER + TEXT_PORT;
    for (int i = 0; i < TEXT_FIELDS; i++) {
        fields[i] = *at != '\0' || i < 2 ? at : NULL;
        at += strlen(at) + 1;
    }
    key->view = (weir_key){.scheme = fields[0],
                           .host = fields[1],
                           .source = fields[2],
                           .proxy = fields[3],
                           .tls = fields[4],
                           .tenant = fields[5]};
    memcpy(&key->view.port, key->text + TEXT_NUMBER, TEXT_PORT);
}

/* Forgets the key that has been unused for longest; false when all are in use. */
static bool forget_one(weir_engine *engine)
{
    struct node *node = list_first(&engine->unused);
    if (node == NULL) {
        return false;
    }
    key_forget(list_entry(node, struct key, on_list));
    return true;
}

static struct key *take_slot(weir_engine *engine, const struct key_text *text)
{
    uint64_t id;
    struct key *key;
    char *copy;
    while ((copy = arena_cut(&engine->texts, text->len)) == NULL) {
        if (!forget_one(engine)) {
            return NULL;
        }
    }
    while ((key = slots_take(&engine->keys, &id)) == NULL) {
        if (!forget_one(engine)) {
            arena_give(&engine->texts, copy, text->len);
            return NULL;
        }
    }
    memcpy(copy, text->at, text->len);
    key->text = copy;
    key->text_len = (uint16_t)text->len;
    key->hash = text->hash;
    return key;
}

weir_err key_intern(weir_pool *pool, const struct key_text *text, struct key **ret_key)
{
    struct key *key = key_find(pool, text);
    if (key != NULL) {
        *ret_key = key;
        return WEIR_OK;
    }
    weir_engine *engine = pool->engine;
    key = take_slot(engine, text);
    if (key == NULL) {
        return WEIR_EKEYS;
    }
    key->pool = pool;
    key->timer.kind = TIMER_KEY;
    key->state = WEIR_KEY_UP;
    key->ramp = 1;
    key->cap = WEIR_UNLIMITED;
    key->horizon_ms = WEIR_NEVER;
    key->used_ms = engine->now_ms;
    view_text(key);
    key->leases_seen = key_leases_likely(key);
    list_init(&key->waiting);
    for (int i = 0; i < WEIR_STATES; i++) {
        list_init(&key->by_state[i]);
    }
    bool is_there = map_put(&engine->by_key, key->hash, key);
    check(is_there);
    list_push_back(&pool->keys, &key->on_pool);
    group_join(key);
    weir_err err = ledger_open(pool, key, key_most(key));
    if (err != WEIR_OK) {
        key_forget(key);
        return err;
    }
    key_review(key);
    *ret_key = key;
    return WEIR_OK;
}

uint16_t key_leases_likely(const struct key *key)
{
    const weir_pool *pool = key->pool;
    uint32_t leases = pool->connector->leases != NULL
                          ? pool->connector->leases(pool->self, &key->view)
                          : 0;
    return (uint16_t)(leases < UINT16_MAX ? leases : UINT16_MAX);
}

bool key_is_unknown(const struct key *key)
{
    return key->leases_seen == 0 && key->pool->connector->leases != NULL;
}

static bool is_unused(const struct key *key)
{
    bool is_failing = key->state == WEIR_KEY_BACKING_OFF || key->state == WEIR_KEY_DOWN;
    return key->pins == 0 && key->waiting.count == 0 && !is_failing && key_total(key) == 0;
}

void key_review(struct key *key)
{
    weir_engine *engine = key->pool->engine;
    bool was_unused = key->on_list.home == &engine->unused;
    if (is_unused(key) == was_unused) {
        return;
    }
    if (was_unused) {
        list_remove(&engine->unused, &key->on_list);
        heap_clear(&engine->timers, &key->timer.node);
        return;
    }
    check(!turns_is_waiting(key));
    list_push_back(&engine->unused, &key->on_list);
    if (key->pool->opt.key_idle_ms != WEIR_NEVER) {
        heap_set(&engine->timers, &key->timer.node, engine->now_ms + key->pool->opt.key_idle_ms);
    }
}

void key_forget(struct key *key)
{
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    check(key->waiting.count == 0);
    check(key_total(key) == 0);

    ledger_close(pool, key);
    heap_clear(&engine->timers, &key->timer.node);
    explain_forget(&pool->explain, key);
    check(!turns_is_waiting(key));
    list_leave(&key->on_list);
    list_leave(&key->on_endpoint);
    group_leave(key);
    list_remove(&pool->keys, &key->on_pool);
    map_remove(&engine->by_key, key->hash, key);
    arena_give(&engine->texts, key->text, key->text_len);
    slots_give(&engine->keys, slots_id_of(&engine->keys, key));
}

uint32_t key_total(const struct key *key)
{
    uint32_t total = 0;
    for (int i = 0; i < WEIR_STATES; i++) {
        total += key->by_state[i].count;
    }
    return total;
}

/* Buckets of half octaves would be finer than what three samples can tell; octaves from an eighth
 * of a second reach beyond an hour. */
static unsigned horizon_bucket(uint64_t idle_ms)
{
    uint64_t eighths = idle_ms / 125;
    unsigned bucket = eighths > 0 ? 64U - (unsigned)__builtin_clzll(eighths) : 0;
    return bucket < KEY_HORIZON_BUCKETS ? bucket : KEY_HORIZON_BUCKETS - 1;
}

/* A new lesson where the last one is long ago. False: this hang-up teaches nothing new. */
static bool is_lesson(struct key *key, uint32_t now_s)
{
    if (key->lesson_s != 0 && now_s - key->hangup_s < HANGUP_APART_S) {
        return false;
    }
    if (key->lesson_s == 0 || now_s - key->lesson_s >= LESSON_S) {
        memset(key->horizon, 0, sizeof key->horizon);
        key->horizon_ms = WEIR_NEVER;
        key->lesson_s = now_s;
    }
    key->hangup_s = now_s;
    return true;
}

uint32_t key_horizon_ms(const struct key *key, uint64_t idle_since_ms)
{
    return idle_since_ms / 1000 < key->lesson_s + (uint64_t)LESSON_S ? key->horizon_ms : WEIR_NEVER;
}

bool key_learn_hangup(struct key *key, uint64_t idle_ms)
{
    if (!is_lesson(key, (uint32_t)(key->pool->engine->now_ms / 1000))) {
        return false;
    }
    uint8_t *count = &key->horizon[horizon_bucket(idle_ms)];
    if (*count < UINT8_MAX) {
        (*count)++;
    }
    for (unsigned i = 1; i < KEY_HORIZON_BUCKETS; i++) {
        if (key->horizon[i] >= HANGUPS_TO_LEARN) {
            uint32_t horizon_ms = 125U << (i - 1);
            bool is_news = horizon_ms != key->horizon_ms;
            key->horizon_ms = horizon_ms;
            return is_news;
        }
    }
    return false;
}

/* --- how a key is shown ------------------------------------------------------------------- */

struct sink {
    char *at;
    size_t size, len;
};

static void sink_text(struct sink *sink, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++, sink->len++) {
        if (sink->len + 1 < sink->size) {
            sink->at[sink->len] = text[i];
        }
    }
}

static void sink_string(struct sink *sink, const char *text)
{
    sink_text(sink, text, strlen(text));
}

/* "socks5://user:pass@host" without the password. */
static void sink_proxy(struct sink *sink, const char *proxy)
{
    const char *scheme_end = strstr(proxy, "://");
    const char *user = scheme_end != NULL ? scheme_end + 3 : proxy;
    const char *at = strrchr(user, '@');
    const char *colon = at != NULL ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (colon == NULL) {
        sink_string(sink, proxy);
        return;
    }
    sink_text(sink, proxy, (size_t)(colon - proxy));
    sink_string(sink, ":***");
    sink_string(sink, at);
}

static void sink_query(struct sink *sink, const char *name, const char *value, char *separator)
{
    if (value == NULL || *value == '\0') {
        return;
    }
    sink_text(sink, separator, 1);
    *separator = '&';
    sink_string(sink, name);
    sink_text(sink, "=", 1);
    sink_proxy(sink, value);
}

size_t weir_key_text(const weir_key *key, char *ret_text, size_t size)
{
    struct sink sink = {ret_text, size, 0};
    char port[8];
    bool is_ipv6 = key->host != NULL && strchr(key->host, ':') != NULL;
    if (key->scheme != NULL) {
        sink_string(&sink, key->scheme);
        sink_string(&sink, "://");
    }
    if (key->tenant != NULL && *key->tenant != '\0') {
        sink_string(&sink, key->tenant);
        sink_text(&sink, "@", 1);
    }
    sink_string(&sink, is_ipv6 ? "[" : "");
    sink_string(&sink, key->host != NULL ? key->host : "");
    sink_string(&sink, is_ipv6 ? "]" : "");
    if (key->port != 0) {
        int len = snprintf(port, sizeof port, ":%u", key->port);
        sink_text(&sink, port, (size_t)len);
    }
    char separator = '?';
    sink_query(&sink, "proxy", key->proxy, &separator);
    sink_query(&sink, "tls", key->tls, &separator);
    sink_query(&sink, "source", key->source, &separator);
    if (size > 0) {
        ret_text[sink.len < size ? sink.len : size - 1] = '\0';
    }
    return sink.len;
}
