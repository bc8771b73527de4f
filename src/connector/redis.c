/* SPDX-License-Identifier: Apache-2.0
 *
 * The connector as its owner and its pool see it.
 */
#include "connector/redis.h"

#include "base/check.h"
#include "connector/dial.h"
#include "connector/redis_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define PROBE "*1\r\n$4\r\nPING\r\n"

static void bury(struct loop_later *later);

/* --- words --------------------------------------------------------------------------------------
 */

static const char *const says_words[] = {"",
#define REDIS_ROW(name, word) (word),
                                         REDIS_SAYS(REDIS_ROW)
#undef REDIS_ROW
};

enum redis_says redis_says_of(struct slice error)
{
    struct slice word = slice_sub(error, 0, slice_find(error, ' '));
    for (unsigned i = 1; i < REDIS_SAYS_COUNT; i++) {
        if (slice_is(word, says_words[i])) {
            return (enum redis_says)i;
        }
    }
    return REDIS_ERR;
}

const char *redis_says_word(enum redis_says says)
{
    return (unsigned)says < REDIS_SAYS_COUNT ? says_words[says] : "unknown";
}

/* --- opening ------------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value != 0 ? value : initial;
}

/* Copies the text behind *at, which moves on; NULL stays NULL. */
static const char *keep_text(char **at, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *kept = *at;
    memcpy(kept, text, size);
    *at += size;
    return kept;
}

static size_t room_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

int redis_connector_new(const struct redis_connector_options *opt,
                        struct redis_connector **ret_connector)
{
    struct redis_connector *connector = alloc_zeroed(opt->alloc, sizeof *connector);
    char *texts = alloc_new(opt->alloc,
                            room_of(opt->user) + room_of(opt->password) + room_of(opt->name) + 1);
    if (connector == NULL || texts == NULL) {
        alloc_free(opt->alloc, texts);
        alloc_free(opt->alloc, connector);
        return -ENOMEM;
    }
    struct redis_connector_options *own = &connector->opt;
    *own = *opt;
    own->handshake_timeout_ms = or_default(opt->handshake_timeout_ms, REDIS_HANDSHAKE_MS);
    own->calls_max = or_default(opt->calls_max, REDIS_CALLS_MAX);
    own->unsent_max = or_default(opt->unsent_max, REDIS_UNSENT_MAX);
    connector->texts = texts;
    own->user = keep_text(&texts, opt->user);
    own->password = keep_text(&texts, opt->password);
    own->name = keep_text(&texts, opt->name);
    connector->mux = (struct mux){.ops = &redis_mux_ops,
                                  .loop = opt->loop,
                                  .alloc = opt->alloc,
                                  .acquire_timeout_ms = opt->acquire_timeout_ms};
    list_init(&connector->conns);
    connector->bury.run = bury;
    cork_init(&connector->cork, opt->loop);
    *ret_connector = connector;
    return 0;
}

void redis_connector_free(struct redis_connector *take_connector)
{
    struct redis_connector *connector = take_connector;
    if (connector == NULL) {
        return;
    }
    const struct alloc *alloc = connector->opt.alloc;
    loop_later_cancel(connector->opt.loop, &connector->bury);
    bury(&connector->bury);
    check(list_is_empty(&connector->conns));
    mux_fini(&connector->mux);
    cork_fini(&connector->cork);
    if (connector->opt.password != NULL) {
        explicit_bzero(connector->texts + room_of(connector->opt.user),
                       strlen(connector->opt.password));
    }
    alloc_free(alloc, connector->texts);
    alloc_free(alloc, connector);
}

void redis_connector_serve(struct redis_connector *connector, weir_pool *pool)
{
    connector->mux.pool = pool;
}

void redis_connector_moved(struct redis_connector *connector, const struct redis_place *place)
{
    struct node *next;
    for (struct node *it = list_first(&connector->conns); it != NULL; it = next) {
        const struct redis_conn *conn = list_entry(it, struct redis_conn, named.on_list);
        next = list_next(it);
        if (conn->stage == REDIS_UP
            && (conn->place.port != place->port || strcmp(conn->place.host, place->host) != 0)) {
            weir_conn_retire(connector->mux.pool, conn->named.id, WEIR_EGOAWAY);
        }
    }
}

const struct redis_counters *redis_connector_counters(const struct redis_connector *connector)
{
    return &connector->counters;
}

enum redis_says redis_connector_refusal(const struct redis_connector *connector)
{
    return connector->refusal;
}

/* --- a connection's end -------------------------------------------------------------------------
 */

static void conn_free(struct redis_conn *conn)
{
    const struct alloc *alloc = conn->connector->opt.alloc;
    outbox_fini(&conn->out);
    bytes_fini(&conn->in);
    key_copy_fini(alloc, &conn->key);
    alloc_free(alloc, conn);
}

/* The stack may still have been in them. */
static void bury(struct loop_later *later)
{
    struct redis_connector *connector = container_of(later, struct redis_connector, bury);
    while (connector->graves != NULL) {
        struct redis_conn *conn = connector->graves;
        connector->graves = conn->next_grave;
        conn_free(conn);
    }
}

void redis_conn_gone(struct redis_conn *conn, weir_err why, const char *detail)
{
    struct redis_connector *connector = conn->connector;
    if (conn->stage == REDIS_GONE) {
        return;
    }
    conn->stage = REDIS_GONE;
    loop_timer_stop(connector->opt.loop, &conn->timer);
    list_leave(&conn->named.on_list);
    redis_sentinels_cancel(&conn->query);
    if (conn->dial != NULL) {
        dial_cancel(conn->dial);
        conn->dial = NULL;
    }
    if (conn->stream != NULL) {
        stream_close(conn->stream);
        conn->stream = NULL;
    }
    weir_conn_down(connector->mux.pool, conn->named.id, why);
    uint32_t places = connector->opt.calls_max + 1;
    for (; conn->owed_count > 0; conn->owed_count--) {
        struct redis_call *call = conn->owed[conn->owed_first].call;
        conn->owed_first = (conn->owed_first + 1) % places;
        if (call != NULL) {
            redis_count(&connector->counters.lost, 1);
            redis_call_lost(call, why, detail);
        }
    }
    conn->next_grave = connector->graves;
    connector->graves = conn;
    loop_later(connector->opt.loop, &connector->bury);
}

void redis_connector_cut(struct redis_connector *connector)
{
    for (struct node *it; (it = list_first(&connector->conns)) != NULL;) {
        redis_conn_gone(list_entry(it, struct redis_conn, named.on_list), WEIR_ECLOSED, "");
    }
}

/* --- as the pool sees it ------------------------------------------------------------------------
 */

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct redis_conn *conn = container_of(timer, struct redis_conn, timer);
    (void)now_ms;
    redis_conn_gone(conn, WEIR_ECONNECT_TIMEOUT, "the handshake took too long");
}

static void pool_dial(void *self, weir_conn id, const weir_key *key)
{
    struct redis_connector *connector = self;
    const struct alloc *alloc = connector->opt.alloc;
    size_t owed = (connector->opt.calls_max + 1) * sizeof(struct redis_owed);
    struct redis_conn *conn = alloc_zeroed(alloc, sizeof *conn + owed);
    if (conn == NULL || !key_copy_init(alloc, key, &conn->key)) {
        alloc_free(alloc, conn);
        weir_conn_down(connector->mux.pool, id, WEIR_ENOMEM);
        return;
    }
    conn->connector = connector;
    conn->timer.fire = on_timer;
    outbox_init(&conn->out, &connector->cork, connector->opt.unsent_max);
    uint32_t reply_max = or_default(connector->opt.limits.reply_max, RESP_REPLY_MAX);
    size_t cap;
    loop_buffer(connector->opt.loop, &cap);
    bytes_init(&conn->in, alloc, (size_t)reply_max + cap);
    resp_reader_init(&conn->reader, &connector->opt.limits);
    named_add(&connector->conns, &conn->named, id);
    redis_count(&connector->counters.dials, 1);
    redis_dial_begin(conn);
}

static void pool_close(void *self, weir_conn id, void *object, weir_err why)
{
    struct redis_connector *connector = self;
    struct redis_conn *conn = object != NULL ? object
                                             : container_of(named_of(&connector->conns, id),
                                                            struct redis_conn, named);
    redis_conn_gone(conn, why, "");
}

static void pool_cut(void *self, weir_conn id, void *object)
{
    const struct redis_conn *conn = object;
    (void)self;
    (void)id;
    if (conn->stream != NULL) {
        shutdown(stream_fd(conn->stream), SHUT_RDWR);
    }
}

static void pool_probe(void *self, weir_conn id, void *object)
{
    struct redis_conn *conn = object;
    (void)self;
    (void)id;
    if (conn->is_probed) {
        return; /* one is under way: its answer will do */
    }
    conn->is_probed = true;
    if (!redis_talk_owe(conn, NULL, 1, true) || !redis_talk_say(conn, SLICE(PROBE))) {
        redis_conn_gone(conn, WEIR_EPROBE, "");
    }
}

static bool pool_reusable(void *self, void *object)
{
    const struct redis_conn *conn = object;
    (void)self;
    return conn->stage == REDIS_UP;
}

static uint32_t pool_leases(void *self, const weir_key *key)
{
    const struct redis_connector *connector = self;
    (void)key;
    return connector->opt.calls_max;
}

const weir_connector redis_pool_connector = {
    .scheme = "redis",
    .dial = pool_dial,
    .probe = pool_probe,
    .close = pool_close,
    .cut = pool_cut,
    .reusable = pool_reusable,
    .leases = pool_leases,
};
