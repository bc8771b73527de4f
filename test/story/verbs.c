/* SPDX-License-Identifier: Apache-2.0
 *
 *   CLIENT acquires KEY [within T] [tag N] [wait_down] [idempotent] [replayable] [fresh]
 *   CLIENT tries KEY [flags]          weir_try_acquire()
 *   CLIENT leases #N                  weir_conn_lease()
 *   CLIENT releases #N [keep|retire|broken|unknown] [why]
 *   CLIENT cancels                    its latest wait
 *   #N up [M]   #N room M   #N down [why]   #N used   #N idles T   #N retires [why]
 *   #N handshakes   #N answers T      weir_conn_handshake(), weir_conn_latency()
 *   #N at A                           weir_conn_address()
 *   POOL resolves HOST A B …          weir_pool_resolved()
 *   #N unfit                          the connector says that it is not reusable
 *   POOL admits KEY   POOL updates option value …   POOL flushes [KEY] [grace T]
 *   POOL closes [grace T]   POOL warms KEY   POOL cools KEY
 *   nothing happens
 *
 * KEY may be POOL/KEY; without a pool it is the story's first. An error that a call returns is an
 * output: "CLIENT fails WEIR_E…" or "error WEIR_E…".
 */
#include "story/verbs.h"

#include <inttypes.h>
#include <stdio.h>

static bool wrong(struct stage *stage, const char *what, struct slice word)
{
    stage_fault(stage, "%s: \"%.*s\"", what, SLICE_ARG(word));
    return false;
}

bool verb_engine(struct stage *stage, const struct phrase *line)
{
    weir_engine_options *opt = &stage->options;
    struct {
        const char *word;
        uint32_t *field;
    } fields[] = {{"conns_max", &opt->conns_max},         {"leases_max", &opt->leases_max},
                  {"waiting_max", &opt->waiting_max},     {"keys_max", &opt->keys_max},
                  {"key_bytes_max", &opt->key_bytes_max}, {"events_max", &opt->events_max}};
    for (uint32_t i = 0; i + 1 < line->count; i += 2) {
        uint64_t number = 0;
        bool known = false;
        if (slice_is(line->words[i], "events")) {
            stage->all_events = slice_is(line->words[i + 1], "all");
            continue;
        }
        text_parse_u64(line->words[i + 1], &number);
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
            if (slice_is(line->words[i], fields[f].word)) {
                *fields[f].field = (uint32_t)number;
                known = true;
            }
        }
        if (slice_is(line->words[i], "seed")) {
            opt->seed = number;
            known = true;
        }
        if (!known) {
            return wrong(stage, "no such option of an engine", line->words[i]);
        }
    }
    return true;
}

bool verb_key(struct stage *stage, const struct phrase *line)
{
    struct stage_key *key = stage_key_of(stage, phrase_word(line, 0));
    if (key == NULL) {
        return false;
    }
    struct {
        const char *word;
        const char **field;
    } fields[] = {{"host", &key->key.host},     {"source", &key->key.source},
                  {"proxy", &key->key.proxy},   {"tls", &key->key.tls},
                  {"tenant", &key->key.tenant}, {"scheme", &key->key.scheme}};
    for (uint32_t i = 1; i + 1 < line->count; i += 2) {
        bool known = false;
        uint64_t port;
        if (slice_is(line->words[i], "port") && text_parse_u64(line->words[i + 1], &port)) {
            key->key.port = (uint16_t)port;
            known = true;
        }
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
            if (slice_is(line->words[i], fields[f].word)) {
                slice_copy(key->text[f], sizeof key->text[f], line->words[i + 1]);
                *fields[f].field = key->text[f];
                known = true;
            }
        }
        if (!known) {
            return wrong(stage, "no such field of a key", line->words[i]);
        }
    }
    return true;
}

/* Sets options from word i on. */
static bool set_options(struct stage *stage, weir_pool_options *opt, const struct phrase *line,
                        uint32_t i)
{
    for (; i + 1 < line->count; i += 2) {
        char word[NAME_MAX_];
        char value[NAME_MAX_];
        slice_copy(word, sizeof word, line->words[i]);
        slice_copy(value, sizeof value, line->words[i + 1]);
        weir_err err = strcmp(word, "profile") == 0 ? weir_profile(value, opt)
                                                    : weir_pool_options_set(opt, word, value);
        if (err != WEIR_OK) {
            return wrong(stage, "no such option of a pool, or not such a value", line->words[i]);
        }
    }
    return i == line->count || wrong(stage, "an option without a value", line->words[i]);
}

bool verb_pool(struct stage *stage, const struct phrase *line)
{
    weir_pool_options opt = {.size = sizeof opt};
    struct phrase rest = *line;
    bool probes = false;
    bool dials = true;
    for (uint32_t i = 1; i + 1 < rest.count; i += 2) {
        probes |= slice_is(rest.words[i], "probe_every");
        if (slice_is(rest.words[i], "dials")) { /* "dials no": all are admitted */
            dials = !slice_is(rest.words[i + 1], "no");
            memmove(&rest.words[i], &rest.words[i + 2],
                    (rest.count - i - 2) * sizeof rest.words[0]);
            rest.count -= 2;
            i -= 2;
        }
    }
    return set_options(stage, &opt, &rest, 1)
           && stage_open(stage, phrase_word(line, 0), &opt, probes, dials);
}

/* --- clients -------------------------------------------------------------------------------- */

/* "api/k" or "k". */
static bool where_of(struct stage *stage, struct slice word, struct stage_pool **ret_home,
                     struct stage_key **ret_key)
{
    uint32_t slash = slice_find(word, '/');
    bool named = slash < word.len;
    *ret_home = stage_pool_of(stage, named ? slice_sub(word, 0, slash) : (struct slice){"", 0});
    *ret_key = stage_key_of(stage, named ? slice_sub(word, slash + 1, word.len) : word);
    if (*ret_home == NULL || (*ret_home)->pool == NULL) {
        return wrong(stage, "no such pool, or it is closed", word);
    }
    return *ret_key != NULL;
}

static bool read_acquire(struct stage *stage, const struct phrase *act, weir_acquire_options *ret)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } flags[] = {{"wait_down", WEIR_WAIT_DOWN},
                 {"idempotent", WEIR_IDEMPOTENT},
                 {"replayable", WEIR_REPLAYABLE},
                 {"fresh", WEIR_FRESH}};
    *ret = (weir_acquire_options){.size = sizeof *ret};
    for (uint32_t i = 3; i < act->count; i++) {
        uint64_t number;
        bool known = false;
        for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++) {
            if (slice_is(act->words[i], flags[f].word)) {
                ret->flags |= flags[f].flag;
                known = true;
            }
        }
        if (slice_is(act->words[i], "within")
            && text_parse_duration(phrase_word(act, i + 1), &number)) {
            ret->timeout_ms = (uint32_t)number;
            known = true;
            i++;
        } else if (slice_is(act->words[i], "tag")
                   && text_parse_u64(phrase_word(act, i + 1), &number)) {
            ret->tag = number;
            known = true;
            i++;
        }
        if (!known) {
            return wrong(stage, "no such condition of an acquire", act->words[i]);
        }
    }
    return true;
}

static bool act_acquires(struct stage *stage, const struct phrase *act)
{
    struct stage_pool *home;
    struct stage_key *key;
    weir_acquire_options opt;
    if (!where_of(stage, phrase_word(act, 2), &home, &key) || !read_acquire(stage, act, &opt)) {
        return false;
    }
    struct stage_lease *lease = stage_lease_new(stage, home, act->words[0]);
    if (lease == NULL) {
        return false;
    }
    weir_err err = weir_acquire(home->pool, &key->key, &opt, stage_granted, lease, &lease->id);
    lease->waits = err == WEIR_OK;
    if (err != WEIR_OK) {
        stage_output(stage, "%s fails %s", lease->client, stage_err_name(err));
    }
    return true;
}

/* Which connection a lease is on is asked of the connections' objects. */
static bool act_tries(struct stage *stage, const struct phrase *act)
{
    struct stage_pool *home;
    struct stage_key *key;
    weir_acquire_options opt;
    void *object = NULL;
    if (!where_of(stage, phrase_word(act, 2), &home, &key) || !read_acquire(stage, act, &opt)) {
        return false;
    }
    struct stage_lease *lease = stage_lease_new(stage, home, act->words[0]);
    if (lease == NULL) {
        return false;
    }
    weir_err err = weir_try_acquire(home->pool, &key->key, opt.flags, &lease->id, &object);
    if (err != WEIR_OK) {
        stage_output(stage, "%s fails %s", lease->client, stage_err_name(err));
        return true;
    }
    const struct stage_conn *conn = object;
    lease->holds = true;
    lease->conn = conn->id;
    stage_output(stage, "%s holds #%u", lease->client, (unsigned)(conn - stage->conns + 1));
    return true;
}

static bool act_leases(struct stage *stage, const struct phrase *act)
{
    struct stage_conn *conn = stage_conn_of(stage, phrase_word(act, 2));
    if (conn == NULL) {
        return wrong(stage, "no such connection", phrase_word(act, 2));
    }
    struct stage_lease *lease = stage_lease_new(stage, conn->home, act->words[0]);
    if (lease == NULL) {
        return false;
    }
    weir_err err = weir_conn_lease(conn->home->pool, conn->id, &lease->id);
    lease->holds = err == WEIR_OK;
    lease->conn = conn->id;
    if (err != WEIR_OK) {
        stage_output(stage, "%s fails %s", lease->client, stage_err_name(err));
    }
    return true;
}

static bool fate_of(struct slice word, weir_fate *ret)
{
    for (int fate = 0; fate < WEIR_FATES; fate++) {
        if (slice_is(word, weir_fate_word((weir_fate)fate))) {
            *ret = (weir_fate)fate;
            return true;
        }
    }
    return false;
}

static struct stage_lease *lease_of(struct stage *stage, struct slice client,
                                    const struct stage_conn *conn)
{
    for (uint32_t i = stage->leases_count; i-- > 0;) {
        struct stage_lease *lease = &stage->leases[i];
        bool fits = conn == NULL ? lease->waits : lease->holds && lease->conn.id == conn->id.id;
        if (fits && slice_is(client, lease->client)) {
            return lease;
        }
    }
    return NULL;
}

static void end_lease(struct stage *stage, struct stage_lease *lease, weir_fate fate, weir_err why)
{
    weir_err err = lease->home->pool == NULL
                       ? WEIR_ESTALE
                       : weir_release_why(lease->home->pool, lease->id, fate, why);
    lease->holds = false;
    if (err != WEIR_OK) {
        stage_output(stage, "%s fails %s", lease->client, stage_err_name(err));
    }
}

static bool act_releases(struct stage *stage, const struct phrase *act)
{
    struct stage_conn *conn = stage_conn_of(stage, phrase_word(act, 2));
    struct stage_lease *lease = conn != NULL ? lease_of(stage, act->words[0], conn) : NULL;
    weir_fate fate = WEIR_KEEP;
    weir_err why = WEIR_OK;
    if (lease == NULL) {
        return wrong(stage, "holds no such connection", act->words[0]);
    }
    if (act->count > 3 && !fate_of(act->words[3], &fate)) {
        return wrong(stage, "no such fate", act->words[3]);
    }
    if (act->count > 4 && !stage_err_parse(act->words[4], &why)) {
        return wrong(stage, "no such reason", act->words[4]);
    }
    end_lease(stage, lease, fate, why);
    return true;
}

static bool act_cancels(struct stage *stage, const struct phrase *act)
{
    struct stage_lease *lease = lease_of(stage, act->words[0], NULL);
    if (lease == NULL) {
        return wrong(stage, "waits for nothing", act->words[0]);
    }
    end_lease(stage, lease, WEIR_KEEP, WEIR_OK);
    return true;
}

/* --- connections ---------------------------------------------------------------------------- */

static void tell(struct stage *stage, weir_err err)
{
    if (err != WEIR_OK) {
        stage_output(stage, "error %s", stage_err_name(err));
    }
}

/* A number for up and room, a time for idles, a reason for down and retires; words have defaults.
 */
struct detail {
    uint32_t number;
    uint64_t ms;
    weir_err why;
};

static bool read_detail(struct stage *stage, struct slice word, struct detail *ret)
{
    uint64_t number;
    *ret = (struct detail){.number = 1, .why = WEIR_EHANGUP};
    if (word.len == 0 || stage_err_parse(word, &ret->why)) {
        return true;
    }
    if (text_parse_u64(word, &number)) {
        ret->number = (uint32_t)number;
        return true;
    }
    return text_parse_duration(word, &ret->ms) || wrong(stage, "not a reason", word);
}

static bool act_conn(struct stage *stage, const struct phrase *act)
{
    struct stage_conn *conn = stage_conn_of(stage, act->words[0]);
    struct slice verb = phrase_word(act, 1);
    struct detail detail;
    if (conn == NULL || conn->home->pool == NULL) {
        return wrong(stage, "no such connection, or its pool is closed", act->words[0]);
    }
    if (!read_detail(stage, phrase_word(act, 2), &detail)) {
        return false;
    }
    weir_pool *pool = conn->home->pool;
    if (slice_is(verb, "up")) {
        tell(stage, weir_conn_up(pool, conn->id, conn, detail.number));
    } else if (slice_is(verb, "down")) {
        tell(stage, weir_conn_down(pool, conn->id, detail.why));
    } else if (slice_is(verb, "room")) {
        tell(stage, weir_conn_room(pool, conn->id, detail.number));
    } else if (slice_is(verb, "used")) {
        tell(stage, weir_conn_used(pool, conn->id));
    } else if (slice_is(verb, "idles")) {
        tell(stage, weir_conn_idle(pool, conn->id, (uint32_t)detail.ms));
    } else if (slice_is(verb, "retires")) {
        tell(stage, weir_conn_retire(pool, conn->id, detail.why));
    } else if (slice_is(verb, "handshakes")) {
        tell(stage, weir_conn_handshake(pool, conn->id));
    } else if (slice_is(verb, "answers")) {
        tell(stage, weir_conn_latency(pool, conn->id, (uint32_t)detail.ms * 1000));
    } else if (slice_is(verb, "at")) {
        tell(stage, weir_conn_address(pool, conn->id, detail.number));
    } else if (slice_is(verb, "unfit")) {
        conn->unfit = true;
    } else {
        return wrong(stage, "a connection does not do that", verb);
    }
    return true;
}

/* --- pools ---------------------------------------------------------------------------------- */

static bool act_admits(struct stage *stage, const struct phrase *act)
{
    struct stage_pool *home = stage_pool_of(stage, act->words[0]);
    struct stage_key *key = stage_key_of(stage, phrase_word(act, 2));
    if (home == NULL || home->pool == NULL || key == NULL) {
        return wrong(stage, "no such pool, or it is closed", act->words[0]);
    }
    struct stage_conn *conn = stage_conn_new(home, (weir_conn){0}, key);
    bool can = weir_pool_can_admit(home->pool);
    weir_err err = weir_admit(home->pool, &key->key, key->name, conn, &conn->id);
    if (can != (err == WEIR_OK)) {
        stage_fault(stage, "can_admit and admit disagree");
    }
    if (err != WEIR_OK) {
        stage->conns_count--;
    }
    tell(stage, err);
    return true;
}

static bool act_updates(struct stage *stage, const struct phrase *act)
{
    struct stage_pool *home = stage_pool_of(stage, act->words[0]);
    weir_pool_options opt = {.size = sizeof opt};
    if (home == NULL || home->pool == NULL) {
        return wrong(stage, "no such pool, or it is closed", act->words[0]);
    }
    weir_pool_options_of(home->pool, &opt);
    if (!set_options(stage, &opt, act, 2)) {
        return false;
    }
    tell(stage, weir_pool_update(home->pool, &opt));
    return true;
}

static bool act_ends(struct stage *stage, const struct phrase *act)
{
    struct stage_pool *home = stage_pool_of(stage, act->words[0]);
    bool closes = slice_is(act->words[1], "closes");
    struct slice key = phrase_word(act, 2);
    uint64_t grace_ms = 0;
    if (home == NULL || home->pool == NULL) {
        return wrong(stage, "no such pool, or it is closed", act->words[0]);
    }
    if (act->count >= 4 && slice_is(act->words[act->count - 2], "grace")
        && !text_parse_duration(act->words[act->count - 1], &grace_ms)) {
        return wrong(stage, "not a time", act->words[act->count - 1]);
    }
    if (closes) {
        weir_pool_close(home->pool, (uint32_t)grace_ms);
        return true;
    }
    bool one = key.len > 0 && !slice_is(key, "grace");
    const struct stage_key *only = one ? stage_key_of(stage, key) : NULL;
    weir_pool_flush(home->pool, only != NULL ? &only->key : NULL, (uint32_t)grace_ms);
    return true;
}

static bool act_resolves(struct stage *stage, const struct phrase *act)
{
    const struct stage_pool *home = stage_pool_of(stage, act->words[0]);
    uint32_t addresses[PHRASE_WORDS_MAX];
    char host[NAME_MAX_];
    uint32_t count = 0;
    if (home == NULL || home->pool == NULL) {
        return wrong(stage, "no such pool, or it is closed", act->words[0]);
    }
    slice_copy(host, sizeof host, phrase_word(act, 2));
    for (uint32_t i = 3; i < act->count; i++) {
        uint64_t number;
        if (!text_parse_u64(act->words[i], &number)) {
            return wrong(stage, "not an address", act->words[i]);
        }
        addresses[count++] = (uint32_t)number;
    }
    weir_pool_resolved(home->pool, host, addresses, count);
    return true;
}

static bool act_warms(struct stage *stage, const struct phrase *act)
{
    struct stage_pool *home = stage_pool_of(stage, act->words[0]);
    const struct stage_key *key = stage_key_of(stage, phrase_word(act, 2));
    if (home == NULL || home->pool == NULL || key == NULL) {
        return wrong(stage, "no such pool, or it is closed", act->words[0]);
    }
    tell(stage, weir_pool_warm(home->pool, &key->key, slice_is(act->words[1], "warms")));
    return true;
}

bool verb_act(struct stage *stage, const struct phrase *act)
{
    static const struct {
        const char *word;
        bool (*run)(struct stage *stage, const struct phrase *act);
    } verbs[] = {{"acquires", act_acquires}, {"tries", act_tries},     {"leases", act_leases},
                 {"releases", act_releases}, {"cancels", act_cancels}, {"admits", act_admits},
                 {"updates", act_updates},   {"flushes", act_ends},    {"closes", act_ends},
                 {"warms", act_warms},       {"cools", act_warms},     {"resolves", act_resolves}};
    if (slice_is(act->words[0], "nothing")) {
        return true;
    }
    if (act->words[0].at[0] == '#') {
        return act_conn(stage, act);
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (slice_is(phrase_word(act, 1), verbs[i].word)) {
            return verbs[i].run(stage, act);
        }
    }
    return wrong(stage, "no such verb", phrase_word(act, 1));
}
