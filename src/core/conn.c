/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conn.h"

#include "core/hedge.h"
#include "core/key.h"
#include "core/probe.h"
#include "core/queue.h"
#include "core/size.h"
#include "core/standing.h"

#define BIT(state) (1U << (state))

/* From each state, the states one event may lead to. CLOSING leads only out of the pool. */
static const uint32_t may_enter[WEIR_STATES] = {
    [WEIR_DIALLING] = BIT(WEIR_IDLE) | BIT(WEIR_CLOSING),
    [WEIR_IDLE] = BIT(WEIR_SHARED) | BIT(WEIR_ACTIVE) | BIT(WEIR_PROBING) | BIT(WEIR_CLOSING),
    [WEIR_SHARED] = BIT(WEIR_IDLE) | BIT(WEIR_ACTIVE) | BIT(WEIR_PROBING) | BIT(WEIR_CLOSING),
    [WEIR_ACTIVE] = BIT(WEIR_IDLE) | BIT(WEIR_SHARED) | BIT(WEIR_PROBING) | BIT(WEIR_CLOSING),
    [WEIR_PROBING] = BIT(WEIR_IDLE) | BIT(WEIR_CLOSING),
    [WEIR_CLOSING] = 0,
};

struct conn *conn_new(struct key *key, weir_state state)
{
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    uint64_t id;
    struct conn *conn = slots_take(&engine->conns, &id);
    if (conn == NULL) {
        return NULL;
    }
    conn->key = key;
    conn->state = (uint8_t)state;
    conn->timer.kind = TIMER_CONN;
    conn->since_ms = conn->used_ms = conn->created_ms = engine->now_ms;
    conn->until_ms = conn->armed_ms = UINT64_MAX;
    conn->leases_max = 1;
    conn->idle_ms = WEIR_NEVER;
    conn->probe_ms = WEIR_NEVER;
    list_init(&conn->leases);
    list_push_back(&key->by_state[state], &conn->on_key);
    list_push_back(&pool->by_state[state], &conn->on_pool);
    key->tenant->alive++;
    standing_note(key->tenant);
    key_review(key);
    return conn;
}

/* --- back to its place ----------------------------------------------------------------------
 *
 * One that was probed keeps its place by its last use, anywhere among very many: a walk from the
 * front would cost more than the probe. So it notes who stood behind it when it left, on the list
 * of its key and on that of its pool, and looks from there. The note is a place to begin, no more:
 * who stood there may be gone, or somebody else.
 */

#define HOPS_MAX 64U

static uint32_t slot_of(const struct conn *conn)
{
    return (uint32_t)conn_id(conn) + 1;
}

static void note_place(struct conn *conn)
{
    if (conn->admitted) {
        return; /* its note is another one */
    }
    struct node *behind = list_next(&conn->on_key);
    conn->peer.on_key = behind != NULL ? slot_of(conn_on_key(behind)) : 0;
    behind = list_next(&conn->on_pool);
    conn->peer.on_pool = behind != NULL ? slot_of(conn_on_pool(behind)) : 0;
}

/* The one on that list to which the note leads, through others that are being probed; or NULL. */
static struct node *noted(const struct conn *conn, const struct list *list, bool is_of_key)
{
    const struct slots *conns = &conn->key->pool->engine->conns;
    for (uint32_t hops = 0; hops < HOPS_MAX && !conn->admitted; hops++) {
        uint32_t number = is_of_key ? conn->peer.on_key : conn->peer.on_pool;
        struct slot *slot = number != 0 ? slots_nth(conns, number - 1) : NULL;
        if (slot == NULL || (slot->generation & 1) == 0) {
            return NULL;
        }
        struct conn *next = (struct conn *)(void *)(slot + 1);
        struct node *node = is_of_key ? &next->on_key : &next->on_pool;
        if (node->home == list) {
            return node;
        }
        if (next->state != WEIR_PROBING) {
            return NULL;
        }
        conn = next;
    }
    return NULL;
}

static uint64_t used_ms_at(struct node *node, bool is_of_key)
{
    return is_of_key ? conn_on_key(node)->used_ms : conn_on_pool(node)->used_ms;
}

/* Where to look first: behind all, if it was used last; else by its note, or from the front. */
static struct node *first_guess(const struct conn *conn, struct list *list, bool is_of_key)
{
    struct node *last = list_last(list);
    if (last == NULL || used_ms_at(last, is_of_key) <= conn->used_ms) {
        return &list->head;
    }
    struct node *at = noted(conn, list, is_of_key);
    return at != NULL ? at : list_first(list);
}

static void insert_sorted(struct list *list, struct conn *conn, bool is_of_key)
{
    struct node *end = &list->head;
    struct node *at = first_guess(conn, list, is_of_key);
    while (at != end && used_ms_at(at, is_of_key) < conn->used_ms) {
        at = at->next;
    }
    while (at->prev != end && used_ms_at(at->prev, is_of_key) > conn->used_ms) {
        at = at->prev;
    }
    list_insert_before(list, at, is_of_key ? &conn->on_key : &conn->on_pool);
}

void conn_enter(struct conn *conn, weir_state next)
{
    struct key *key = conn->key;
    weir_pool *pool = key->pool;
    weir_state last = (weir_state)conn->state;
    check(last < WEIR_STATES);
    check(may_enter[last] & BIT(next));

    if (next == WEIR_IDLE && (last == WEIR_PROBING || conn->moved)) {
        list_remove(&key->by_state[last], &conn->on_key);
        list_remove(&pool->by_state[last], &conn->on_pool);
        insert_sorted(&key->by_state[next], conn, true);
        insert_sorted(&pool->by_state[next], conn, false);
    } else {
        if (next == WEIR_PROBING) {
            note_place(conn);
        }
        list_move_back(&key->by_state[last], &key->by_state[next], &conn->on_key);
        list_move_back(&pool->by_state[last], &pool->by_state[next], &conn->on_pool);
    }
    if (next == WEIR_CLOSING) {
        key->tenant->alive--;
        standing_note(key->tenant);
    }
    conn->state = (uint8_t)next;
    conn->since_ms = pool->engine->now_ms;
    conn_arm(conn);
}

void conn_keep_idle(struct conn *conn)
{
    struct key *key = conn->key;
    check(conn->state == WEIR_IDLE);
    conn->used_ms = key->pool->engine->now_ms;
    list_move_back(&key->by_state[WEIR_IDLE], &key->by_state[WEIR_IDLE], &conn->on_key);
    list_move_back(&key->pool->by_state[WEIR_IDLE], &key->pool->by_state[WEIR_IDLE],
                   &conn->on_pool);
    conn_arm(conn);
}

/* A lease that outlives its connection keeps the key in mind until it is released. One that its
 * caller has not heard of waits again. */
static void orphan_leases(struct conn *conn)
{
    struct node *node;
    while ((node = list_last(&conn->leases)) != NULL) {
        struct lease *lease = list_entry(node, struct lease, on_owner);
        if (list_holds(&lease->on_answer)) {
            queue_again(lease);
            continue;
        }
        list_remove(&conn->leases, node);
        lease->conn = NULL;
        conn->key->pins++;
    }
}

void conn_free(struct conn *conn)
{
    struct key *key = conn->key;
    weir_engine *engine = key->pool->engine;
    orphan_leases(conn);
    list_leave(&conn->on_todo);
    heap_clear(&engine->timers, &conn->timer.node);
    list_remove(&key->by_state[conn->state], &conn->on_key);
    list_remove(&key->pool->by_state[conn->state], &conn->on_pool);
    if (conn->state != WEIR_CLOSING) {
        key->tenant->alive--;
        standing_note(key->tenant);
    }
    slots_give(&engine->conns, conn_id(conn));
    key_review(key);
}

uint32_t conn_room(const struct conn *conn)
{
    if (conn->retiring || conn->unsure) {
        return 0;
    }
    const weir_pool_options *opt = &conn->key->pool->opt;
    uint32_t most = conn->leases_max < opt->leases_hard ? conn->leases_max : opt->leases_hard;
    uint32_t room = most > conn->leases.count ? most - conn->leases.count : 0;
    uint32_t uses = opt->max_uses > conn->uses ? opt->max_uses - conn->uses : 0;
    return room < uses ? room : uses;
}

weir_state conn_state_of(const struct conn *conn)
{
    check(conn->leases.count > 0);
    return conn_room(conn) > 0 ? WEIR_SHARED : WEIR_ACTIVE;
}

static uint64_t dial_due_ms(const struct conn *conn)
{
    const weir_pool_options *opt = &conn->key->pool->opt;
    uint32_t timeout_ms = conn->handshaking ? opt->tls_timeout_ms : opt->connect_timeout_ms;
    return timeout_ms == WEIR_NEVER ? UINT64_MAX : conn->since_ms + timeout_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t idle_due_ms(const struct conn *conn)
{
    return earlier(size_idle_due_ms(conn), earlier(conn->until_ms, probe_due_ms(conn)));
}

uint64_t conn_due_ms(const struct conn *conn)
{
    switch ((weir_state)conn->state) { /* cover: every state is named */
    case WEIR_DIALLING: return earlier(dial_due_ms(conn), hedge_due_ms(conn));
    case WEIR_IDLE: return idle_due_ms(conn);
    case WEIR_PROBING: return probe_timeout_ms(conn);
    case WEIR_SHARED: return conn->until_ms; /* its leases may overlap for ever */
    case WEIR_ACTIVE: return conn->retiring ? conn->until_ms : UINT64_MAX;
    case WEIR_CLOSING:
    case WEIR_STATES: break;
    }
    return UINT64_MAX;
}

weir_err conn_due(const struct conn *conn)
{
    uint64_t now_ms = conn->key->pool->engine->now_ms;
    if (conn_due_ms(conn) > now_ms) {
        return WEIR_OK;
    }
    switch ((weir_state)conn->state) { /* cover: every state is named */
    case WEIR_DIALLING:
        if (dial_due_ms(conn) > now_ms) {
            return WEIR_EAGAIN;
        }
        return conn->handshaking ? WEIR_ETLS_TIMEOUT : WEIR_ECONNECT_TIMEOUT;
    case WEIR_PROBING: return WEIR_EPROBE_TIMEOUT;
    case WEIR_SHARED: return WEIR_EAGE;
    case WEIR_ACTIVE: return WEIR_ELEASE_TIMEOUT;
    case WEIR_IDLE:
    case WEIR_CLOSING:
    case WEIR_STATES: break;
    }
    if (size_idle_due_ms(conn) <= now_ms) {
        return WEIR_EIDLE;
    }
    return conn->until_ms <= now_ms ? WEIR_EAGE : WEIR_EPROBE;
}

void conn_arm(struct conn *conn)
{
    uint64_t due_ms = conn_due_ms(conn);
    if (due_ms < conn->armed_ms) {
        conn->armed_ms = due_ms;
        heap_set(&conn->key->pool->engine->timers, &conn->timer.node, due_ms);
    }
}

void conn_tell(struct conn *conn, enum conn_todo todo)
{
    conn->todo = (uint8_t)todo;
    if (todo == TODO_NOTHING) {
        list_leave(&conn->on_todo);
    } else if (!list_holds(&conn->on_todo)) {
        list_push_back(&conn->key->pool->engine->todo, &conn->on_todo);
    }
}
