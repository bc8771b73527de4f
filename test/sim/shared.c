/* SPDX-License-Identifier: Apache-2.0
 *
 * shared.c - several engines, one limit. Each has a pool of the same name; the hub's messages and
 * theirs arrive late, each sender's in its order. After every step: the connections of all engines
 * together, those under way from one to another included, are within max_total, and those of a key
 * within max_per_key; the hub and every engine agree with themselves; nobody is called back twice;
 * once all messages have arrived the engines hold all that the hub has handed out, and nobody waits
 * for room while another engine holds something idle that would do. Keys differ in their tenant
 * alone, connections carry many leases, their room shrinks and ends, names lead elsewhere, keys are
 * kept warm, each in some of the worlds: no lease is above what its connection takes or on one that
 * ends, none retires for an address that its name still has, and who has been named is seen to
 * within its share. After the last step there is a rush: two tenants want more than there is, each
 * with as many callers, at some of the engines, and have been served equally often when it ends. At
 * the end everybody is served, all credits are back, and no connection is lost.
 */
#include "core/inspect.h"
#include "sim/shared_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct shared all;

void shared_wrong(const char *format, ...)
{
    va_list args;
    if (all.failed) {
        return;
    }
    all.failed = true;
    va_start(args, format);
    vsnprintf(all.fault, all.fault_size, format, args);
    va_end(args);
}

/* --- messages
 * --------------------------------------------------------------------------------------- */

static void post(struct post *post, const struct limit_msg *msg)
{
    if (post->tail - post->head == POST_MAX) {
        shared_wrong("%d messages are under way to one receiver", POST_MAX);
        return;
    }
    post->messages[post->tail++ % POST_MAX] = *msg;
}

static uint32_t port_join(void *arg, const char *name, uint32_t name_len, uint32_t limit)
{
    const struct worker *worker = arg;
    return hub_join(&all.hub, worker->number, name, name_len, limit);
}

static uint32_t port_enroll(void *arg, uint32_t pool_account, const char *name, uint32_t name_len)
{
    const struct worker *worker = arg;
    return hub_enroll(&all.hub, worker->number, pool_account, name, name_len);
}

static void port_leave(void *arg, uint32_t account)
{
    struct worker *worker = arg;
    struct post *up = &worker->to_hub;
    struct post *down = &worker->from_hub;
    while (up->head != up->tail) { /* leaving comes after what was said before */
        hub_receive(&all.hub, &up->messages[up->head++ % POST_MAX]);
    }
    for (uint32_t i = down->head; i != down->tail; i++) {
        struct limit_msg *msg = &down->messages[i % POST_MAX];
        if (msg->account == account && msg->word == LIMIT_MOVE) {
            const struct limit_msg credit = {.account = msg->parcel.pool_account,
                                             .engine = (uint16_t)worker->number,
                                             .word = LIMIT_RETURN,
                                             .count = 1};
            parcel_drop(&msg->parcel);
            hub_receive(&all.hub, &credit); /* that it came with */
            msg->word = LIMIT_GRANT;
            msg->count = 0;
        }
    }
    hub_leave(&all.hub, worker->number, account);
}

static bool port_take(void *arg, uint32_t account)
{
    const struct worker *worker = arg;
    return hub_take(&all.hub, worker->number, account);
}

static void port_send(void *arg, const struct limit_msg *msg)
{
    struct worker *worker = arg;
    struct limit_msg signed_msg = *msg;
    signed_msg.engine = (uint16_t)worker->number;
    post(&worker->to_hub, &signed_msg);
}

/* Carries one message; true when there was one. */
bool shared_carry(struct worker *worker)
{
    struct limit_msg msg;
    while (hub_next(&all.hub, worker->number, &msg)) {
        post(&worker->from_hub, &msg);
    }
    struct post *up = &worker->to_hub;
    struct post *down = &worker->from_hub;
    bool is_up = up->head != up->tail && (down->head == down->tail || rand_chance(&all.rand, 500));
    if (is_up) {
        hub_receive(&all.hub, &up->messages[up->head++ % POST_MAX]);
        return true;
    }
    if (down->head != down->tail) {
        engine_receive(worker->engine, &down->messages[down->head++ % POST_MAX]);
        return true;
    }
    return false;
}

/* --- what the engines say
 * --------------------------------------------------------------------------- */

static struct conn_seen *seen(struct worker *worker, uint64_t id)
{
    struct conn_seen *conn = &worker->conns[(uint32_t)id % CONNS_MAX]; /* base/slots.h */
    if (conn->id != id) {
        shared_wrong("an engine speaks of a connection that does not live");
        return NULL;
    }
    return conn;
}

static bool is_same_key(const weir_key *a, const weir_key *b)
{
    const char *mine = a->tenant != NULL ? a->tenant : "";
    const char *theirs = b->tenant != NULL ? b->tenant : "";
    return strcmp(a->host, b->host) == 0 && strcmp(mine, theirs) == 0;
}

static bool is_wanted(const struct worker *worker, uint32_t key)
{
    for (uint32_t i = 0; i < all.clients_count; i++) {
        const struct client *client = &all.clients[i];
        if (client->phase == WAITING && &all.workers[client->engine] == worker
            && client->key == key) {
            return true;
        }
    }
    return false;
}

/* What nobody waits for is dialled because it was named, and at the pace of a warm-up. */
static void judge_warmth(struct worker *worker, uint32_t key)
{
    if (all.names || all.streams > 1 || is_wanted(worker, key)) {
        return; /* or to replace one, or for those to come */
    }
    weir_key_info info = {.size = sizeof info};
    bool was_up = weir_pool_key_of(worker->pool, &all.keys[key], &info) == WEIR_OK
                  && info.created > 0;
    if (!all.warm || !worker->wanted[key] || was_up) { /* one that was warm is kept so at once */
        return;
    }
    if (worker->warmed_ms > 0 && all.now_ms < worker->warmed_ms + all.opt.warm_every_ms) {
        shared_wrong("engine %u warms up in a hurry", worker->number);
    }
    worker->warmed_ms = all.now_ms;
}

static void on_dial(void *self, weir_conn id, const weir_key *key)
{
    struct worker *worker = self;
    struct conn_seen *conn = &worker->conns[(uint32_t)id.id % CONNS_MAX];
    if (conn->phase != NONE) {
        shared_wrong("a new connection has the id of one that lives");
    }
    *conn = (struct conn_seen){.id = id.id, .phase = DIALLING};
    while (conn->key < all.keys_count && !is_same_key(&all.keys[conn->key], key)) {
        conn->key++;
    }
    if (conn->key == all.keys_count) {
        shared_wrong("dialled a key that nobody asked for");
    }
    judge_warmth(worker, conn->key);
}

static void on_close(void *self, weir_conn id, void *object, weir_err why)
{
    struct conn_seen *conn = seen(self, id.id);
    (void)object;
    if (conn != NULL) {
        if (why == WEIR_EADDRESS && !conn->displaced) {
            shared_wrong("closed for an address that its name still has");
        }
        conn->phase = CLOSING;
        conn->why = why;
    }
}

static void *on_detach(void *self, void *object)
{
    struct worker *worker = self;
    struct conn_seen *conn = object;
    if (conn->phase != UP || conn->leases > 0) {
        shared_wrong("engine %u gives away a connection that is not idle", worker->number);
    }
    if (rand_chance(&all.rand, 50)) {
        return NULL;
    }
    struct moving *moving = all.moving;
    while (moving < all.moving + MOVING_MAX && moving->is_there) {
        moving++;
    }
    if (moving == all.moving + MOVING_MAX) {
        shared_wrong("%u connections are under way", MOVING_MAX);
        return NULL;
    }
    *moving = (struct moving){.is_there = true, .as = *conn};
    *conn = (struct conn_seen){0};
    all.detached++;
    return moving;
}

static void on_attach(void *self, weir_conn id, void *parcel)
{
    struct worker *worker = self;
    struct moving *moving = parcel;
    if (!moving->is_there) {
        shared_wrong("a connection arrives twice");
    }
    moving->is_there = false;
    if (worker == NULL) {
        all.dropped++;
        return;
    }
    struct conn_seen *conn = &worker->conns[(uint32_t)id.id % CONNS_MAX];
    if (conn->phase != NONE) {
        shared_wrong("a connection that came has the id of one that lives");
    }
    all.attached++;
    *conn = moving->as;
    conn->id = id.id;
    conn->phase = DIALLING;
    if (rand_chance(&all.rand, 100)) {
        *conn = (struct conn_seen){0};
        weir_conn_down(worker->pool, id, WEIR_EHANGUP);
    } else if (!rand_chance(&all.rand, 100)) { /* else it takes its time */
        conn->phase = UP;
        weir_conn_up(worker->pool, id, conn, conn->leases_max);
    }
}

static void on_granted(void *arg, const weir_grant *grant)
{
    struct client *client = arg;
    if (client->phase != WAITING || client->lease.id != grant->lease.id) {
        shared_wrong("called back twice, or for another lease");
    }
    client->phase = AWAY;
    if (grant->err == WEIR_OK) {
        struct conn_seen *conn = seen(&all.workers[client->engine], grant->conn.id);
        client->phase = HOLDING;
        client->conn = grant->conn.id;
        client->until_ms = all.now_ms + RUSH_HOLD_MS;
        all.served[client->key]++;
        if (conn == NULL || conn->phase != UP || conn->key != client->key || conn->ends
            || conn->leases++ >= conn->leases_max) {
            shared_wrong("a lease on a connection that is not for it");
        }
    }
}

/* --- what happens
 * ----------------------------------------------------------------------------------- */

void shared_release(struct client *client)
{
    struct worker *worker = &all.workers[client->engine];
    struct conn_seen *conn = &worker->conns[(uint32_t)client->conn % CONNS_MAX];
    if (conn->id == client->conn) {
        conn->leases--;
    }
    weir_fate fate = rand_chance(&all.rand, 100) ? WEIR_RETIRE : WEIR_KEEP;
    if (all.settling && all.streams > 1) {
        fate = WEIR_KEEP; /* many do at once, and leases on it may be under way */
    }
    if (conn->id == client->conn) {
        conn->ends |= fate == WEIR_RETIRE;
    }
    if (weir_release(worker->pool, client->lease, fate) != WEIR_OK) {
        shared_wrong("a lease that is held is stale");
    }
    client->phase = AWAY;
}

void shared_ask(struct client *client)
{
    const weir_acquire_options opt = {.size = sizeof opt, .timeout_ms = WEIR_NEVER};
    weir_err err = weir_acquire(all.workers[client->engine].pool, &all.keys[client->key], &opt,
                                on_granted, client, &client->lease);
    client->phase = err == WEIR_OK ? WAITING : AWAY;
}

static void act_client(void)
{
    struct client *client = &all.clients[rand_below(&all.rand, all.clients_count)];
    if (client->phase == HOLDING) {
        shared_release(client);
    } else if (client->phase == WAITING) {
        if (rand_chance(&all.rand, 30)) {
            weir_release(all.workers[client->engine].pool, client->lease, WEIR_KEEP);
        }
    } else {
        client->engine = (uint32_t)rand_below(&all.rand, all.workers_count);
        client->key = (uint32_t)rand_below(&all.rand, all.keys_count);
        shared_ask(client);
    }
}

/* A new one comes up, with some room, somewhere; one that has moved here as it was. */
static void come_up(struct worker *worker, struct conn_seen *conn)
{
    conn->phase = UP;
    if (conn->leases_max == 0) {
        conn->leases_max = (uint32_t)rand_between(&all.late, 1, all.streams);
        conn->address = all.names ? (uint32_t)rand_between(&all.late, 1, ADDRESSES) : 0;
    }
    weir_conn_up(worker->pool, (weir_conn){conn->id}, conn, conn->leases_max);
    if (conn->address != 0) {
        weir_conn_address(worker->pool, (weir_conn){conn->id}, conn->address);
    }
}

/* SETTINGS, or GOAWAY: it has more room, less, or none. */
static void change_room(struct worker *worker, struct conn_seen *conn)
{
    if (conn->phase != UP || conn->ends) {
        return;
    }
    bool goes = rand_chance(&all.late, 200);
    conn->leases_max = goes ? 0 : (uint32_t)rand_between(&all.late, 1, all.streams);
    conn->ends = goes;
    weir_conn_room(worker->pool, (weir_conn){conn->id}, conn->leases_max);
}

void shared_answer(struct worker *worker, struct conn_seen *conn, bool kindly)
{
    weir_conn id = {conn->id};
    if (conn->phase == CLOSING) {
        conn->id = 0;
        conn->phase = NONE;
        weir_conn_down(worker->pool, id, conn->why);
    } else if (conn->phase == DIALLING && (kindly || !rand_chance(&all.rand, all.refuse))) {
        come_up(worker, conn);
    } else if (conn->phase == DIALLING || (!kindly && rand_chance(&all.rand, all.refuse / 4))) {
        conn->id = 0;
        conn->phase = NONE;
        weir_conn_down(worker->pool, id, WEIR_ERESET);
    }
}

static void act_peer(void)
{
    struct worker *worker = &all.workers[rand_below(&all.rand, all.workers_count)];
    struct conn_seen *conn = &worker->conns[rand_below(&all.rand, CONNS_MAX)];
    if (conn->phase == UP && all.streams > 1 && rand_chance(&all.late, 300)) {
        change_room(worker, conn);
    } else if (conn->phase != NONE) {
        shared_answer(worker, conn, false);
    }
}

static void miss(struct conn_seen *conn, uint32_t set)
{
    bool is_there = conn->address == 0 || (set >> (conn->address - 1) & 1);
    conn->missed = is_there ? 0 : conn->missed + 1;
    conn->displaced |= conn->missed >= ANSWERS_MISSED;
}

/* A name is looked up, once for all engines. */
static void act_name(void)
{
    uint32_t key = (uint32_t)rand_below(&all.late, all.keys_count);
    uint32_t set = (uint32_t)rand_between(&all.late, 1, (1U << ADDRESSES) - 1);
    uint32_t addresses[ADDRESSES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        if (set >> i & 1) {
            addresses[count++] = i + 1;
        }
    }
    for (uint32_t w = 0; w < all.workers_count; w++) {
        for (uint32_t c = 0; c < CONNS_MAX; c++) {
            struct conn_seen *conn = &all.workers[w].conns[c];
            if (conn->phase != NONE && strcmp(all.hosts[conn->key], all.hosts[key]) == 0) {
                miss(conn, set);
            }
        }
        weir_pool_resolved(all.workers[w].pool, all.hosts[key], addresses, count);
    }
}

/* A key is to be warm in one engine, or no longer. */
static void act_warm(void)
{
    struct worker *worker = &all.workers[rand_below(&all.late, all.workers_count)];
    uint32_t key = (uint32_t)rand_below(&all.late, all.keys_count);
    bool on = !worker->wanted[key];
    if (weir_pool_warm(worker->pool, &all.keys[key], on) == WEIR_OK) {
        worker->wanted[key] = on;
    }
}

static uint64_t earliest_ms(void)
{
    uint64_t earliest = WEIR_NO_DEADLINE;
    for (uint32_t i = 0; i < all.workers_count; i++) {
        earliest = all.workers[i].next_ms < earliest ? all.workers[i].next_ms : earliest;
    }
    return earliest;
}

static void act_time(void)
{
    uint64_t next_ms = earliest_ms();
    bool leap = next_ms != WEIR_NO_DEADLINE && rand_chance(&all.rand, 300);
    all.now_ms = leap && next_ms > all.now_ms ? next_ms : all.now_ms + rand_below(&all.rand, 50);
}

/* Whoever has callers and no credit for a dial has told the hub. */
static void judge_asking(const struct worker *worker)
{
    weir_list_each(it, &worker->pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        bool needs = key->waiting.count > 0 && key_total(key) == 0 && key->state == WEIR_KEY_UP;
        if (needs && key->ledger.credits == 0 && key->ledger.asked == 0) {
            shared_wrong("engine %u has callers for %s, no credit, and has not asked",
                         worker->number, key->view.host);
        }
    }
}

static uint32_t idle_elsewhere(const struct worker *but, const weir_key *wanted)
{
    uint32_t idle = 0;
    for (uint32_t w = 0; w < all.workers_count; w++) {
        if (&all.workers[w] == but) {
            continue;
        }
        weir_list_each(it, &all.workers[w].pool->keys) {
            const struct key *key = list_entry(it, struct key, on_pool);
            if (is_same_key(&key->view, wanted)) {
                idle += key->by_state[WEIR_IDLE].count;
            }
        }
    }
    return idle;
}

static void judge_out(const char *name, uint32_t name_len, uint32_t held)
{
    uint32_t out = hub_out(&all.hub, name, name_len);
    if (out != held) {
        shared_wrong("%u credits are out, and the engines hold %u", out, held);
    }
}

static void judge_credits_of(const weir_key *wanted)
{
    char name[64] = "shared";
    uint32_t name_len = 0;
    uint32_t held = 0;
    for (uint32_t w = 0; w < all.workers_count; w++) {
        weir_list_each(it, &all.workers[w].pool->keys) {
            const struct key *key = list_entry(it, struct key, on_pool);
            const uint32_t skip = sizeof key->pool->number; /* core/limit.c */
            if (is_same_key(&key->view, wanted)) {
                name_len = (uint32_t)sizeof "shared" + key->text_len - skip;
                check(name_len <= sizeof name);
                memcpy(name + sizeof "shared", key->text + skip, key->text_len - skip);
                held += key->ledger.credits;
            }
        }
    }
    judge_out(name, name_len, held);
}

/* Nothing is under way: what is handed out is with the engines, where it can be used. */
static void judge_credits(void)
{
    uint32_t held = 0;
    for (uint32_t w = 0; w < all.workers_count; w++) {
        held += all.workers[w].pool->ledger.credits;
    }
    judge_out("shared", sizeof "shared", held);
    for (uint32_t k = 0; k < all.keys_count; k++) {
        judge_credits_of(&all.keys[k]);
    }
}

/* Nothing is under way: whoever waits, waits for what others use. */
static void judge_idle(void)
{
    for (uint32_t w = 0; w < all.workers_count; w++) {
        weir_list_each(it, &all.workers[w].pool->keys) {
            const struct key *key = list_entry(it, struct key, on_pool);
            if (key->waiting.count > 0 && key->state == WEIR_KEY_UP
                && key_alive(key) < all.workers[w].pool->opt.streams_conns_max
                && idle_elsewhere(&all.workers[w], &key->view) > 0) {
                shared_wrong("engine %u has callers for %s, and another one holds it idle", w,
                             key->view.host);
            }
        }
    }
}

static void judge(void)
{
    uint32_t of_key[KEYS_MAX + RUSH_KEYS] = {0};
    uint32_t total = 0;
    for (uint32_t w = 0; w < all.workers_count; w++) {
        engine_verify(all.workers[w].engine);
        if (!all.closing) {
            judge_asking(&all.workers[w]);
        }
        for (uint32_t c = 0; c < CONNS_MAX; c++) {
            const struct conn_seen *conn = &all.workers[w].conns[c];
            if (conn->phase != NONE) {
                total++;
                of_key[conn->key]++;
            }
        }
    }
    for (uint32_t i = 0; i < MOVING_MAX; i++) {
        total += all.moving[i].is_there;
        of_key[all.moving[i].as.key] += all.moving[i].is_there;
    }
    hub_verify(&all.hub);
    if (total > all.opt.max_total) {
        shared_wrong("%u connections in all engines, %u allowed", total, all.opt.max_total);
    }
    for (uint32_t k = 0; k < all.keys_count; k++) {
        if (of_key[k] > all.opt.max_per_key) {
            shared_wrong("%u connections of a key, %u allowed", of_key[k], all.opt.max_per_key);
        }
    }
}

void shared_turn(void)
{
    for (uint32_t i = 0; i < all.workers_count; i++) {
        struct worker *worker = &all.workers[i];
        do {
            worker->next_ms = weir_step(worker->engine, all.now_ms);
        } while (weir_engine_pending(worker->engine));
    }
    judge();
}

/* All that was said arrives, all that was begun is done; nobody comes, nobody returns anything. */
void shared_calm(void)
{
    bool any = true;
    for (int i = 0; i < CALM_STEPS_MAX && any && !all.failed; i++) {
        any = false;
        for (uint32_t w = 0; w < all.workers_count; w++) {
            any |= shared_carry(&all.workers[w]);
            for (uint32_t c = 0; c < CONNS_MAX; c++) {
                struct conn_seen *conn = &all.workers[w].conns[c];
                if (conn->phase == DIALLING || conn->phase == CLOSING) {
                    shared_answer(&all.workers[w], conn, true);
                    any = true;
                }
            }
        }
        shared_turn();
    }
    if (!all.failed) {
        judge_credits();
        judge_idle();
    }
}

static void step(void)
{
    if ((all.names || all.warm) && rand_chance(&all.late, 30)) {
        if (all.names && (!all.warm || rand_chance(&all.late, 500))) {
            act_name();
        } else {
            act_warm();
        }
        shared_turn();
    }
    uint32_t drawn = (uint32_t)rand_below(&all.rand, 1000);
    if (drawn < 10) {
        shared_calm();
    } else if (drawn < 350) {
        act_client();
    } else if (drawn < 650) {
        act_peer();
    } else if (drawn < 900) {
        shared_carry(&all.workers[rand_below(&all.rand, all.workers_count)]);
    } else {
        act_time();
    }
    shared_turn();
}

/* --- beginning and end
 * ------------------------------------------------------------------------------ */

static bool open_worker(uint32_t number, bool can_take)
{
    struct worker *worker = &all.workers[number];
    worker->number = number;
    worker->port =
        (struct limit_port){worker,    port_join,         port_leave, can_take ? port_take : NULL,
                            port_send, all.workers_count, port_enroll};
    weir_engine_options engine_opt = {
        .size = sizeof engine_opt, .conns_max = CONNS_MAX, .seed = rand_next(&all.rand)};
    all.opt.connector_self = worker;
    return weir_engine_new(&engine_opt, &worker->engine) == WEIR_OK
           && engine_share(worker->engine, &worker->port) == WEIR_OK
           && weir_pool_open(worker->engine, &all.opt, &worker->pool) == WEIR_OK;
}

static void draw_more(uint64_t seed)
{
    struct rand *late = &all.late;
    rand_init(late, ~seed);
    all.has_tenants = rand_chance(late, 400);
    all.streams = rand_chance(late, 300) ? (uint32_t)rand_between(late, 2, 6) : 1;
    all.names = rand_chance(late, 300);
    all.warm = rand_chance(late, 300);
    all.opt.warm = all.warm ? WEIR_WARM_UP : WEIR_OFF;
    all.opt.warm_every_ms = (uint32_t)rand_between(late, 1, 100);
    for (uint32_t i = 0; i < TENANTS; i++) {
        snprintf(all.tenants[i], sizeof all.tenants[i], "t%u", i);
    }
}

static bool open_all(uint64_t seed)
{
    rand_init(&all.rand, seed);
    struct rand *rand = &all.rand;
    all.workers_count = (uint32_t)rand_between(rand, 2, ENGINES_MAX);
    all.keys_count = (uint32_t)rand_between(rand, 1, KEYS_MAX);
    all.clients_count = (uint32_t)rand_between(rand, 1, CLIENTS_MAX);
    all.refuse = rand_chance(rand, 500) ? (uint32_t)rand_below(rand, 400) : 0;
    all.connector = (weir_connector){.scheme = "sim", .dial = on_dial, .close = on_close};
    if (rand_chance(rand, 800)) {
        all.connector.detach = on_detach;
        all.connector.attach = on_attach;
    }
    all.opt = (weir_pool_options){.size = sizeof all.opt,
                                  .name = "shared",
                                  .connector = &all.connector,
                                  .max_total = (uint32_t)rand_between(rand, 1, 24),
                                  .max_per_key = (uint32_t)rand_between(rand, 1, 12),
                                  .idle_timeout_ms = (uint32_t)rand_between(rand, 10, 5000),
                                  .on_dial_error = WEIR_WAIT,
                                  .retry_first_ms = 10,
                                  .down_for_ms = 100};
    draw_more(seed);
    for (uint32_t k = 0; k < all.keys_count; k++) {
        snprintf(all.hosts[k], sizeof all.hosts[k], "k%u", all.has_tenants ? k - k % TENANTS : k);
        all.keys[k] = (weir_key){.scheme = "sim", .host = all.hosts[k], .port = 1};
        all.keys[k].tenant = all.has_tenants ? all.tenants[k % TENANTS] : NULL;
    }
    struct hub_options hub_opt = {.engines = all.workers_count, .seed = seed};
    if (!hub_init(&all.hub, &alloc_libc, &hub_opt)) {
        return false;
    }
    bool can_take = rand_chance(rand, 500);
    for (uint32_t i = 0; i < all.workers_count; i++) {
        if (!open_worker(i, can_take)) {
            return false;
        }
    }
    return true;
}

/* Whatever a kind world has left to do; false when it is calm. */
static bool act_kindly(void)
{
    bool any = false;
    for (uint32_t w = 0; w < all.workers_count; w++) {
        struct worker *worker = &all.workers[w];
        any |= shared_carry(worker);
        for (uint32_t c = 0; c < CONNS_MAX; c++) {
            any |= worker->conns[c].phase == DIALLING || worker->conns[c].phase == CLOSING;
            shared_answer(worker, &worker->conns[c], true);
        }
    }
    for (uint32_t i = 0; i < all.clients_count; i++) {
        if (all.clients[i].phase == HOLDING) {
            shared_release(&all.clients[i]);
            any = true;
        }
    }
    return any;
}

static uint32_t busy(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < all.clients_count; i++) {
        count += all.clients[i].phase != AWAY;
    }
    return count;
}

/* Everybody is served; nobody comes. */
static void serve_all(void)
{
    all.settling = true;
    for (int i = 0; i < CALM_STEPS_MAX && busy() > 0 && !all.failed; i++) {
        if (!act_kindly()) {
            uint64_t next_ms = earliest_ms();
            all.now_ms = next_ms != WEIR_NO_DEADLINE ? next_ms : all.now_ms + 1;
        }
        shared_turn();
    }
    if (busy() > 0) {
        shared_wrong("everybody is kind, and %u clients are not served", busy());
    }
}

static void settle(void)
{
    serve_all();
    if (!all.failed) {
        shared_rush();
    }
    serve_all();
    all.closing = true;
    for (uint32_t w = 0; w < all.workers_count && !all.failed; w++) {
        weir_pool_close(all.workers[w].pool, 0);
        shared_turn();
        while (act_kindly()) {
            shared_turn();
        }
    }
    for (uint32_t w = 0; w < all.workers_count; w++) {
        weir_engine_free(all.workers[w].engine);
    }
    if (!all.failed && hub_out(&all.hub, "shared", sizeof "shared") > 0) {
        shared_wrong("everything is closed, and %u credits are out",
                     hub_out(&all.hub, "shared", sizeof "shared"));
    }
    hub_fini(&all.hub);
    if (!all.failed && all.detached != all.attached + all.dropped) {
        shared_wrong("%llu connections left, %llu came, %llu were dropped",
                     (unsigned long long)all.detached, (unsigned long long)all.attached,
                     (unsigned long long)all.dropped);
    }
}

bool shared_run(uint64_t seed, uint64_t steps, uint64_t *ret_steps, char *ret_fault, size_t size)
{
    memset(&all, 0, sizeof all);
    all.fault = ret_fault;
    all.fault_size = size;
    uint64_t i = 0;
    if (!open_all(seed)) {
        shared_wrong("the engines cannot be made");
    }
    for (; i < steps && !all.failed; i++) {
        step();
    }
    *ret_steps = i;
    settle();
    return !all.failed;
}
