/* SPDX-License-Identifier: Apache-2.0 */
#include "story/stage.h"

#include "base/check.h"
#include "core/inspect.h"

#include <stdarg.h>
#include <stdio.h>

enum { STEPS_AT_ONCE_MAX = 1000 };

void stage_init(struct stage *stage)
{
    memset(stage, 0, sizeof *stage);
    stage->options = (weir_engine_options){.size = sizeof(weir_engine_options)};
}

void stage_fini(struct stage *stage)
{
    weir_engine_free(stage->engine);
    stage->engine = NULL;
}

void stage_output(struct stage *stage, const char *format, ...)
{
    va_list args;
    if (stage->outputs_count == OUTPUTS_MAX) {
        stage_fault(stage, "more than %d outputs at once", OUTPUTS_MAX);
        return;
    }
    va_start(args, format);
    vsnprintf(stage->outputs[stage->outputs_count++], OUTPUT_MAX, format, args);
    va_end(args);
}

void stage_fault(struct stage *stage, const char *format, ...)
{
    va_list args;
    if (stage->failed_at_once) {
        return;
    }
    stage->failed_at_once = true;
    va_start(args, format);
    vsnprintf(stage->fault, sizeof stage->fault, format, args);
    va_end(args);
}

static const char *const err_names[] = {
    "WEIR_OK",
#define WEIR_ERR(name, word, where, text) "WEIR_E" #name,
#include <weir/def/err.def>
#undef WEIR_ERR
};

const char *stage_err_name(weir_err err)
{
    return (unsigned)err < WEIR_ERRS ? err_names[err] : "WEIR_E?";
}

bool stage_err_parse(struct slice word, weir_err *ret)
{
    for (int err = 0; err < WEIR_ERRS; err++) {
        if (slice_is(word, weir_err_word((weir_err)err)) || slice_is(word, err_names[err])) {
            *ret = (weir_err)err;
            return true;
        }
    }
    return false;
}

/* --- what the core tells -------------------------------------------------------------------- */

/* The number of a connection, 0 when it is unknown. */
static uint32_t number_of(const struct stage *stage, weir_conn id)
{
    for (uint32_t i = 0; i < stage->conns_count; i++) {
        if (stage->conns[i].id.id == id.id) {
            return i + 1;
        }
    }
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_key(const weir_key *a, const weir_key *b)
{
    return same_text(a->host, b->host) && a->port == b->port && same_text(a->source, b->source)
           && same_text(a->proxy, b->proxy) && same_text(a->tls, b->tls)
           && same_text(a->tenant, b->tenant);
}

static struct stage_key *key_named_by(struct stage *stage, const weir_key *key)
{
    for (uint32_t i = 0; i < stage->keys_count; i++) {
        if (same_key(&stage->keys[i].key, key)) {
            return &stage->keys[i];
        }
    }
    return NULL;
}

static void on_dial(void *self, weir_conn conn, const weir_key *key)
{
    struct stage_pool *home = self;
    struct stage_key *named = key_named_by(home->stage, key);
    if (named == NULL) {
        stage_fault(home->stage, "dialled a key that nobody named");
        return;
    }
    stage_conn_new(home, conn, named);
    stage_output(home->stage, "dial #%u %s", home->stage->conns_count, named->name);
}

static struct stage_conn *known(struct stage_pool *home, weir_conn id, const char *what)
{
    uint32_t number = number_of(home->stage, id);
    if (number == 0 || home->stage->conns[number - 1].home != home) {
        stage_fault(home->stage, "%s of an unknown connection", what);
        return NULL;
    }
    return &home->stage->conns[number - 1];
}

static void on_probe(void *self, weir_conn conn, void *object)
{
    struct stage_pool *home = self;
    struct stage_conn *it = known(home, conn, "probe");
    if (it != NULL && object != it) {
        stage_fault(home->stage, "probe with another connection's object");
    }
    stage_output(home->stage, "probe #%u", number_of(home->stage, conn));
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    struct stage_pool *home = self;
    struct stage_conn *it = known(home, conn, "close");
    if (it != NULL && object != NULL && object != it) {
        stage_fault(home->stage, "close with another connection's object");
    }
    stage_output(home->stage, "close #%u %s", number_of(home->stage, conn), weir_err_word(why));
}

static void on_cut(void *self, weir_conn conn, void *object)
{
    struct stage_pool *home = self;
    (void)object;
    known(home, conn, "cut");
    stage_output(home->stage, "cut #%u", number_of(home->stage, conn));
}

static bool is_reusable(void *self, void *object)
{
    (void)self;
    const struct stage_conn *conn = object;
    return !conn->unfit;
}

void stage_granted(void *arg, const weir_grant *grant)
{
    struct stage_lease *lease = arg;
    lease->calls++;
    if (lease->calls != 1 || !lease->waits || grant->lease.id != lease->id.id) {
        stage_fault(lease->stage, "%s was called back twice, or for another lease", lease->client);
    }
    lease->waits = false;
    if (grant->err != WEIR_OK) {
        stage_output(lease->stage, "%s fails %s", lease->client, stage_err_name(grant->err));
        return;
    }
    lease->holds = true;
    lease->conn = grant->conn;
    stage_output(lease->stage, "%s holds #%u%s", lease->client,
                 number_of(lease->stage, grant->conn), grant->reused ? " reused" : "");
}

/* What other outputs say as well; told with `engine events all` only. */
static bool is_echo(weir_event_kind kind)
{
    return kind == WEIR_EVENT_CONNECTION_ADDED || kind == WEIR_EVENT_CONNECTION_REMOVED
           || kind == WEIR_EVENT_CONNECTION_REUSED || kind == WEIR_EVENT_CONNECTION_RETURNED
           || kind == WEIR_EVENT_CONNECTION_TIMEOUT || kind == WEIR_EVENT_POOL_LIMIT_REACHED
           || kind == WEIR_EVENT_POOL_WARM || kind == WEIR_EVENT_HEALTH_STATUS_CHANGED;
}

static void on_event(void *arg, const weir_event *event)
{
    struct stage *stage = arg;
    char text[OUTPUT_MAX];
    if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        for (uint32_t i = 0; i < stage->pools_count; i++) {
            if (stage->pools[i].pool == event->pool) {
                stage->pools[i].pool = NULL;
            }
        }
    }
    if (is_echo(event->kind) && !stage->all_events) {
        return;
    }
    int len = snprintf(text, sizeof text, "event %s", weir_event_word(event->kind));
    const struct stage_key *key = event->key != NULL ? key_named_by(stage, event->key) : NULL;
    if (key != NULL) {
        len += snprintf(text + len, sizeof text - (size_t)len, " %s", key->name);
    }
    if (event->conn.id != 0) {
        len += snprintf(text + len, sizeof text - (size_t)len, " #%u",
                        number_of(stage, event->conn));
    }
    if (event->why != WEIR_OK) {
        snprintf(text + len, sizeof text - (size_t)len, " %s", weir_err_word(event->why));
    }
    stage_output(stage, "%s", text);
}

/* --- names ---------------------------------------------------------------------------------- */

bool stage_open(struct stage *stage, struct slice name, weir_pool_options *opt, bool probes,
                bool dials)
{
    if (stage->engine == NULL) {
        stage->options.on_event = on_event;
        stage->options.event_arg = stage;
        weir_err err = weir_engine_new(&stage->options, &stage->engine);
        if (err != WEIR_OK) {
            stage_fault(stage, "cannot make the engine: %s", weir_err_text(err));
            return false;
        }
    }
    if (stage->pools_count == STAGE_POOLS_MAX) {
        stage_fault(stage, "too many pools");
        return false;
    }
    struct stage_pool *home = &stage->pools[stage->pools_count++];
    home->stage = stage;
    slice_copy(home->name, sizeof home->name, name);
    home->connector = (weir_connector){.scheme = "story",
                                       .dial = dials ? on_dial : NULL,
                                       .probe = probes ? on_probe : NULL,
                                       .close = on_close,
                                       .cut = on_cut,
                                       .reusable = is_reusable};
    opt->name = home->name;
    opt->connector = &home->connector;
    opt->connector_self = home;
    weir_err err = weir_pool_open(stage->engine, opt, &home->pool);
    if (err != WEIR_OK) {
        const char *field = weir_engine_fault(stage->engine);
        stage_fault(stage, "cannot open the pool: %s (%s)", weir_err_text(err),
                    field != NULL ? field : "");
    }
    return err == WEIR_OK;
}

struct stage_pool *stage_pool_of(struct stage *stage, struct slice name)
{
    if (name.len == 0) {
        return stage->pools_count > 0 ? &stage->pools[0] : NULL;
    }
    for (uint32_t i = 0; i < stage->pools_count; i++) {
        if (slice_is(name, stage->pools[i].name)) {
            return &stage->pools[i];
        }
    }
    return NULL;
}

struct stage_key *stage_key_of(struct stage *stage, struct slice name)
{
    for (uint32_t i = 0; i < stage->keys_count; i++) {
        if (slice_is(name, stage->keys[i].name)) {
            return &stage->keys[i];
        }
    }
    if (stage->keys_count == STAGE_KEYS_MAX || name.len == 0) {
        stage_fault(stage, "no name for a key, or too many keys");
        return NULL;
    }
    struct stage_key *key = &stage->keys[stage->keys_count++];
    slice_copy(key->name, sizeof key->name, name);
    key->key = (weir_key){.scheme = "story", .host = key->name, .port = 1};
    return key;
}

struct stage_conn *stage_conn_of(struct stage *stage, struct slice name)
{
    uint64_t number;
    if (name.len < 2 || name.at[0] != '#' || !text_parse_u64(slice_sub(name, 1, name.len), &number)
        || number == 0 || number > stage->conns_count) {
        return NULL;
    }
    return &stage->conns[number - 1];
}

struct stage_lease *stage_lease_new(struct stage *stage, struct stage_pool *home,
                                    struct slice client)
{
    if (stage->leases_count == STAGE_LEASES_MAX) {
        stage_fault(stage, "too many leases");
        return NULL;
    }
    struct stage_lease *lease = &stage->leases[stage->leases_count++];
    *lease = (struct stage_lease){.stage = stage, .home = home};
    slice_copy(lease->client, sizeof lease->client, client);
    return lease;
}

struct stage_conn *stage_conn_new(struct stage_pool *home, weir_conn id, struct stage_key *key)
{
    struct stage *stage = home->stage;
    if (stage->conns_count == STAGE_CONNS_MAX) {
        stage_fault(stage, "too many connections");
        return &stage->conns[0];
    }
    struct stage_conn *conn = &stage->conns[stage->conns_count++];
    *conn = (struct stage_conn){.home = home, .id = id, .key = key, .state = WEIR_DIALLING};
    return conn;
}

/* --- time ----------------------------------------------------------------------------------- */

struct seen {
    struct stage *stage;
    bool present[STAGE_CONNS_MAX];
};

static bool see(void *arg, const weir_conn_info *info)
{
    struct seen *seen = arg;
    struct stage *stage = seen->stage;
    uint32_t number = number_of(stage, info->conn);
    if (number == 0) {
        stage_fault(stage, "the pool lists a connection that was never born");
        return false;
    }
    struct stage_conn *conn = &stage->conns[number - 1];
    if (info->state == WEIR_IDLE && conn->state != WEIR_IDLE) {
        stage_output(stage, "#%u idle", number);
    }
    conn->state = info->state;
    seen->present[number - 1] = true;
    return true;
}

static void see_all(struct stage *stage)
{
    struct seen seen = {.stage = stage};
    for (uint32_t i = 0; i < stage->pools_count; i++) {
        if (stage->pools[i].pool != NULL) {
            weir_pool_each(stage->pools[i].pool, see, &seen);
        }
    }
    for (uint32_t i = 0; i < stage->conns_count; i++) {
        if (!seen.present[i]) {
            stage->conns[i].state = WEIR_STATES;
        }
    }
}

static void step_until_calm(struct stage *stage)
{
    for (int i = 0; i < STEPS_AT_ONCE_MAX; i++) {
        uint64_t next = weir_step(stage->engine, stage->now_ms);
        if (!weir_engine_pending(stage->engine)) {
            if (next <= stage->now_ms) {
                stage_fault(stage, "after a step the next deadline lies in the past");
            }
            return;
        }
    }
    stage_fault(stage, "the engine does not come to rest");
}

void stage_settle(struct stage *stage)
{
    step_until_calm(stage);
    uint32_t before = stage->outputs_count;
    weir_step(stage->engine, stage->now_ms);
    if (stage->outputs_count != before) {
        stage_fault(stage, "a second step at the same instant did something");
    }
    engine_verify(stage->engine);
    see_all(stage);
}

void stage_move(struct stage *stage, uint64_t to_ms)
{
    for (;;) {
        uint64_t next = weir_step(stage->engine, stage->now_ms);
        if (next > to_ms || stage->failed_at_once) {
            break;
        }
        stage->now_ms = next > stage->now_ms ? next : stage->now_ms + 1;
        step_until_calm(stage);
    }
    stage->now_ms = to_ms;
    step_until_calm(stage);
}
