/* SPDX-License-Identifier: Apache-2.0 */
#include "core/limit.h"

#include "core/breaker.h"
#include "core/conn.h"
#include "core/ends.h"
#include "core/key.h"
#include "core/move.h"
#include "core/mutant.h"
#include "core/pool.h"
#include "core/standing.h"
#include "core/turns.h"

#include <string.h>

#define ACCOUNT_NAME_MAX (65U + WEIR_KEY_BYTES_MAX)
#define TAKE_EVERY_MS    10U /* of a hub that had none: others want its lock, too */

weir_err engine_share(weir_engine *engine, const struct limit_port *port)
{
    check(engine->pools.count == 0);
    uint32_t most = engine->keys.capacity + 2 * engine->pools_max + engine->groups.capacity;
    if (!map_init(&engine->by_account, &engine->alloc, most)) {
        return WEIR_ENOMEM;
    }
    engine->port = port;
    return WEIR_OK;
}

static struct ledger *ledger_of(weir_pool *pool, struct key *key)
{
    return key != NULL ? &key->ledger : &pool->ledger;
}

/* Accounts have names, so that every engine finds the same one: the pool's, and the key's canonical
 * form without the number that the pool has in this engine only. */
static uint32_t name_of(const weir_pool *pool, const struct key *key, char *ret_name)
{
    uint32_t len = (uint32_t)strlen(pool->name) + 1;
    memcpy(ret_name, pool->name, len);
    if (key != NULL) {
        uint32_t skip = sizeof pool->number;
        memcpy(ret_name + len, key->text + skip, key->text_len - skip);
        len += key->text_len - skip;
    }
    return len;
}

static void forget_account(weir_engine *engine, struct ledger *ledger)
{
    map_remove(&engine->by_account, rand_mix(ledger->account), ledger);
    engine->port->leave(engine->port->arg, ledger->account);
    *ledger = (struct ledger){0};
}

static void know_account(weir_engine *engine, struct ledger *ledger, uint32_t account)
{
    bool is_there = map_put(&engine->by_account, rand_mix(account), ledger);
    check(is_there);
    *ledger = (struct ledger){.account = account};
}

/* --- tenants ------------------------------------------------------------------------------ */

/* Its name begins with a 0, as none of a pool or key does that has as few of them. */
weir_err ledger_open_tenant(struct group *tenant)
{
    weir_pool *pool = tenant->pool;
    const struct limit_port *port = pool->engine->port;
    if (pool->ledger.account == 0 || port->enroll == NULL || tenant->ledger.account != 0) {
        return WEIR_OK;
    }
    char name[ACCOUNT_NAME_MAX] = "";
    uint32_t len = 1 + name_of(pool, NULL, name + 1);
    if (group_is_named(tenant)) {
        memcpy(name + len, tenant->text, tenant->text_len);
        len += tenant->text_len;
    }
    uint32_t account = port->enroll(port->arg, pool->ledger.account, name, len);
    if (account == 0) {
        return WEIR_EKEYS;
    }
    know_account(pool->engine, &tenant->ledger, account);
    tenant->ledger.is_of_tenant = true;
    return WEIR_OK;
}

void ledger_close_tenant(struct group *tenant)
{
    list_leave(&tenant->on_news);
    tenant->is_told = false;
    tenant->fed = 0;
    if (tenant->ledger.account != 0) {
        forget_account(tenant->pool->engine, &tenant->ledger);
    }
}

static weir_err open_tenants(weir_pool *pool)
{
    weir_err err = ledger_open_tenant(&pool->nobody);
    weir_list_each(it, &pool->tenants) {
        if (err == WEIR_OK) {
            err = ledger_open_tenant(list_entry(it, struct group, on_pool));
        }
    }
    return err;
}

static void close_tenants(weir_pool *pool)
{
    ledger_close_tenant(&pool->nobody);
    weir_list_each(it, &pool->tenants) {
        ledger_close_tenant(list_entry(it, struct group, on_pool));
    }
}

/* --- pools and keys ------------------------------------------------------------------------ */

weir_err ledger_open(weir_pool *pool, struct key *key, uint32_t limit)
{
    weir_engine *engine = pool->engine;
    struct ledger *ledger = ledger_of(pool, key);
    if (engine->port == NULL || limit == WEIR_UNLIMITED) {
        ledger_close(pool, key);
        ledger->credits = limit;
        return WEIR_OK;
    }
    char name[ACCOUNT_NAME_MAX];
    uint32_t len = name_of(pool, key, name);
    uint32_t account = engine->port->join(engine->port->arg, name, len, limit);
    if (account == 0) {
        return WEIR_EKEYS;
    }
    if (ledger->account == 0) {
        know_account(engine, ledger, account);
        ledger->is_of_key = key != NULL;
        ledger->is_lent = pool->connector->dial == NULL && engine->port->take != NULL;
    }
    check(ledger->account == account);
    weir_err err = key == NULL ? open_tenants(pool) : WEIR_OK;
    if (err != WEIR_OK) {
        ledger_close(pool, key);
    }
    return err;
}

void ledger_close(weir_pool *pool, struct key *key)
{
    struct ledger *ledger = ledger_of(pool, key);
    if (ledger->account == 0) {
        return;
    }
    if (key == NULL) {
        close_tenants(pool);
    }
    forget_account(pool->engine, ledger);
}

static void say(weir_engine *engine, const struct ledger *ledger, enum limit_word word,
                uint32_t count)
{
    struct limit_msg msg = {.account = ledger->account, .word = (uint8_t)word, .count = count};
    engine->port->send(engine->port->arg, &msg);
}

void ledger_ask(weir_engine *engine, struct ledger *ledger, uint32_t need)
{
    if (ledger->account == 0) {
        return;
    }
    while (need > 0 && engine->port->take != NULL
           && engine->port->take(engine->port->arg, ledger->account)) {
        ledger->credits++;
        need--;
    }
    if (need != ledger->asked && !ledger->is_lent) {
        ledger->asked = need;
        ledger->is_dry = false;
        say(engine, ledger, LIMIT_ASK, need);
    }
}

bool ledger_take_ahead(weir_engine *engine, struct ledger *ledger)
{
    const struct limit_port *port = engine->port;
    if (ledger->account == 0 || ledger->is_lent || port->take == NULL || ledger->wanted > 0
        || engine->now_ms < ledger->take_ms) {
        return false;
    }
    if (!port->take(port->arg, ledger->account)) {
        ledger->take_ms = engine->now_ms + TAKE_EVERY_MS;
        return false;
    }
    ledger->credits++;
    return true;
}

/* A dial needs a credit of its key and one of its pool. Who has callers keeps one of the key until
 * the other comes; of the pool, nothing is kept that is not in use. So two engines that each hold
 * what the other lacks do not pass it to and fro, nor wait for each other. But for one thing: room
 * that was made here for a tenant's turn is dialled into here, unless the hub presses. */
static uint32_t kept(struct ledger *ledger)
{
    if (!ledger->is_of_key) {
        const weir_pool *pool = container_of(ledger, struct weir_pool, ledger);
        return ledger->is_pressing ? 0 : pool->promised;
    }
    const struct key *key = container_of(ledger, struct key, ledger);
    return key->waiting.count > 0 && breaker_allows(key) > 0 ? 1 : 0;
}

static void settle(weir_engine *engine, struct ledger *ledger, uint32_t used)
{
    uint32_t held = used + kept(ledger);
    uint32_t free = ledger->credits > held ? ledger->credits - held : 0;
    uint32_t back = ledger->is_lent || free < ledger->wanted ? free : ledger->wanted;
    if (back == 0) {
        return;
    }
    ledger->credits -= back;
    ledger->wanted -= back < ledger->wanted ? back : ledger->wanted;
    ledger->is_pressing = ledger->is_pressing && ledger->wanted > 0;
    say(engine, ledger, LIMIT_RETURN, back);
}

void ledger_settle(weir_engine *engine, struct ledger *ledger, uint32_t used)
{
    if (ledger->wanted > 0 || ledger->is_lent) {
        settle(engine, ledger, used);
    }
}

/* --- what the hub says -------------------------------------------------------------------- */

struct wanted_account {
    uint32_t account;
};

static bool is_account(const void *value, const void *key)
{
    return ((const struct ledger *)value)->account == ((const struct wanted_account *)key)->account;
}

/* Closes what is idle for longest, as many as are wanted and not closing already. */
static void close_idle(struct list *by_state, uint32_t wanted, bool is_of_key)
{
    struct list *idle = &by_state[WEIR_IDLE];
    while (wanted > by_state[WEIR_CLOSING].count && idle->count > 0) {
        struct node *node = list_first(idle);
        pool_conn_close(is_of_key ? conn_on_key(node) : conn_on_pool(node), WEIR_EEVICTED);
    }
}

static void want(weir_engine *engine, struct ledger *ledger, const struct limit_msg *msg)
{
    ledger->wanted = msg->count;
    ledger->is_pressing = msg->word == LIMIT_PRESS;
    ledger->may_move = msg->may_move;
    if (ledger->is_of_key) {
        struct key *key = container_of(ledger, struct key, ledger);
        if (!MUTANT(30)) {
            move_idle(key);
        }
        settle(engine, ledger, key_total(key));
        if (!MUTANT(30)) {
            close_idle(key->by_state, ledger->wanted, true);
        }
        pool_serve(key); /* what went may have been meant for somebody: asks again */
    } else {
        weir_pool *pool = container_of(ledger, struct weir_pool, ledger);
        settle(engine, ledger, pool_total(pool));
        close_idle(pool->by_state, ledger->wanted, false);
        pool_feed(pool);
    }
}

static struct ledger *ledger_at(const weir_engine *engine, uint32_t account)
{
    struct wanted_account wanted = {account};
    return map_find(&engine->by_account, rand_mix(account), is_account, &wanted);
}

static void granted(weir_engine *engine, struct ledger *ledger, const struct limit_msg *msg)
{
    uint32_t count = msg->count;
    struct ledger *tenant = msg->tenant != 0 ? ledger_at(engine, msg->tenant) : NULL;
    ledger->credits += count;
    ledger->asked -= count < ledger->asked ? count : ledger->asked;
    ledger->is_dry = count == 0;
    if (tenant != NULL) {
        standing_fed(container_of(tenant, struct group, ledger), count);
    }
    if (ledger->is_of_key) {
        pool_serve(container_of(ledger, struct key, ledger));
    } else {
        pool_feed(container_of(ledger, struct weir_pool, ledger));
    }
}

void engine_receive(weir_engine *engine, const struct limit_msg *msg)
{
    struct ledger *ledger = ledger_at(engine, msg->account);
    if (ledger == NULL) { /* left in the meantime; the hub knows */
        if (msg->word == LIMIT_MOVE) {
            parcel_drop(&msg->parcel);
        }
        return;
    }
    if (msg->word == LIMIT_MOVE) {
        move_in(container_of(ledger, struct key, ledger), &msg->parcel);
    } else if (msg->word == LIMIT_GRANT) {
        granted(engine, ledger, msg);
    } else if (ledger->is_of_tenant) {
        ledger->is_pressing = msg->word == LIMIT_PRESS;
    } else if (msg->word == LIMIT_WANT || msg->word == LIMIT_PRESS) {
        want(engine, ledger, msg);
    }
}
