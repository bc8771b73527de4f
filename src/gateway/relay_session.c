/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_session.c - which conversation a request belongs to, who served it, and what is said of
 * that: where its route has affinity.
 *
 * What is kept is written only after an answer that served: a request that nobody could serve
 * leaves its conversation where it was.
 */
#include "base/check.h"
#include "gateway/relay_parts.h"
#include "io/loop.h"

static const struct config_route *route_of(const struct transit *transit)
{
    return transit->rules->route;
}

static struct affinities *affinities_of(const struct transit *transit)
{
    return transit->lane->relay->opt.shared->affinities;
}

static uint64_t now_of(const struct transit *transit)
{
    return loop_now_ms(transit->lane->relay->opt.loop);
}

static const char *account_of(const struct transit *transit)
{
    return transit->upstream->config->accounts.at[transit->account].name;
}

/* --- before it is sent ---------------------------------------------------------------------------
 */

/* False: it says nothing. */
static bool read_body(struct transit *transit)
{
    struct ai_request *ai = &transit->lane->relay->ai;
    if (transit->held.body_len + transit->hold.len == 0) {
        return false;
    }
    ai_request_begin(ai);
    if (transit->held.body_len > 0) {
        ai_request_feed(ai, held_body(&transit->held), transit->held.body_len);
    }
    for (const struct hold_block *it = transit->hold.first; it != NULL; it = it->next) {
        ai_request_feed(ai, it->at, it->len);
    }
    return ai_request_end(ai);
}

static void note_model(struct transit *transit)
{
    const struct ai_text *model = &transit->lane->relay->ai.words[AI_MODEL];
    if (model->standing == AI_GOOD && model->len <= sizeof transit->model) {
        memcpy(transit->model, model->at, model->len);
        transit->model_len = (uint8_t)model->len;
    }
}

/* The answer that it goes on from was made somewhere: nobody else can go on. */
static void note_pin(struct transit *transit, uint64_t scope)
{
    const struct ai_text *previous = &transit->lane->relay->ai.words[AI_PREVIOUS_RESPONSE_ID];
    if (affinity_pins(&route_of(transit)->affinity.sources) && previous->standing == AI_GOOD) {
        transit->has_pin = true;
        transit->pin = affinity_key_of_answer(scope, previous->at, previous->len);
    }
}

/* What it is known by. */
static void note_keys(struct transit *transit, bool has_body)
{
    struct http_head *head = held_head(&transit->held);
    uint8_t address[16];
    forward_client(transit->lane->config, transit->ex->peer, head, address);
    const struct affinity_ask ask = {
        .sources = &route_of(transit)->affinity.sources,
        .head = head,
        .body = has_body ? &transit->lane->relay->ai : NULL,
        .is_too_large = transit->is_too_large,
        .address = address,
        .scope = affinity_scope(client_hash(transit, head), transit->upstream->config->name),
    };
    transit->user = has_body ? affinity_user(&transit->lane->relay->ai) : 0;
    if (has_body) {
        note_pin(transit, ask.scope);
    }
    transit->affinity = affinity_key_of(&ask, &transit->session);
    transit->has_session = transit->affinity == AFFINITY_HIT;
    transit->is_sought = transit->has_pin || transit->has_session;
}

static void on_look(struct affinity_look *look)
{
    struct transit *transit = container_of(look, struct transit, look);
    transit->was_looked = true;
    transit_begin(transit, held_head(&transit->held));
}

/* Others may know, where there are accounts to be bound to. */
static enum affinity_where where_is(struct transit *transit, const struct affinity_key *key)
{
    bool looks = transit->upstream->accounts != NULL && !transit->was_looked;
    transit->was_looked = false;
    transit->look.done = on_look;
    enum affinity_where where = affinities_find(affinities_of(transit), key, now_of(transit),
                                                looks ? &transit->look : NULL, &transit->bound);
    if (where == AFFINITY_LATER) {
        transit->state = TRANSIT_WAITING;
        transit->was_in_line = true; /* what there is goes first, from the copy */
        transit_pace_client(transit, true);
    }
    return where;
}

static void note_pinned(struct transit *transit)
{
    transit->session = transit->pin;
    transit->affinity = AFFINITY_PINNED;
    transit->has_session = transit->is_bound = transit->is_pinned = true;
}

/* False: it waits for what others know. */
static bool seek(struct transit *transit)
{
    if (transit->has_pin) {
        enum affinity_where where = where_is(transit, &transit->pin);
        if (where == AFFINITY_LATER) {
            return false;
        }
        transit->has_pin = false; /* it is known where it is, or that nobody knows */
        if (where == AFFINITY_BOUND) {
            note_pinned(transit);
            return true;
        }
    }
    if (transit->has_session) {
        enum affinity_where where = where_is(transit, &transit->session);
        if (where == AFFINITY_LATER) {
            return false;
        }
        transit->is_bound = where == AFFINITY_BOUND;
        bool is_known = transit->is_bound
                        || affinities_seen(affinities_of(transit), &transit->session,
                                           now_of(transit));
        transit->affinity = is_known ? AFFINITY_HIT : AFFINITY_NEW;
    }
    return true;
}

bool session_read(struct transit *transit)
{
    if (!transit->was_read) {
        transit->was_read = true;
        bool has_body = transit->keeps && read_body(transit);
        if (has_body) {
            note_model(transit);
        }
        if (route_of(transit)->affinity.is_on) {
            note_keys(transit, has_body);
        }
    }
    if (transit->is_sought) {
        transit->is_sought = !seek(transit);
    }
    return !transit->is_sought;
}

uint64_t session_hash(const struct transit *transit, struct slice path)
{
    return transit->has_session ? transit->session.hash : upstream_hash(transit->upstream, path);
}

void session_wish(const struct transit *transit, struct accounts_wish *wish)
{
    wish->has_hash = transit->has_session;
    wish->hash = transit->has_session ? transit->session.hash : 0;
    wish->bound = transit->is_bound ? transit->bound.account : NULL;
    wish->is_pinned = transit->is_pinned;
}

void session_placed(struct transit *transit, const struct accounts_choice *choice)
{
    if (!transit->has_session) {
        return;
    }
    transit->home = choice->home;
    switch ((enum accounts_moved)choice->moved) {
    case ACCOUNTS_AT_HOME: break;
    case ACCOUNTS_HOME_FULL: transit->affinity = AFFINITY_SPILL; break;
    case ACCOUNTS_HOME_COOLING:
        transit->affinity = (choice->down >> choice->home & 1) != 0 ? AFFINITY_DOWN
                                                                    : AFFINITY_COOLDOWN;
        break;
    case ACCOUNTS_HOME_GONE: transit->affinity = AFFINITY_DRAINED; break;
    }
}

/* --- when it is answered -------------------------------------------------------------------------
 */

static bool is_moved(const struct transit *transit)
{
    return transit->affinity == AFFINITY_COOLDOWN || transit->affinity == AFFINITY_DOWN
           || transit->affinity == AFFINITY_DRAINED;
}

static void tell_of_move(const struct transit *transit)
{
    const struct relay_options *opt = &transit->lane->relay->opt;
    const struct config_upstream *upstream = transit->upstream->config;
    const char *word = affinity_word((enum affinity)transit->affinity);
    const char *from = transit->home < upstream->accounts.count
                           ? upstream->accounts.at[transit->home].name
                           : "";
    char name[AFFINITY_NAME_TEXT];
    affinities_name(affinities_of(transit), &transit->session, name);
    const struct relay_event event = {
        .kind = RELAY_EVENT_SESSION_REBOUND,
        .session = name,
        .upstream = upstream->name,
        .account = account_of(transit),
        .from = transit->is_bound ? transit->bound.account : from,
        .why = strchr(word, ':') + 1, /* rebound:… */
    };
    if (opt->on_event != NULL) {
        opt->on_event(opt->event_self, &event);
    }
}

static void bind(struct transit *transit, const struct affinity_key *key, uint32_t epoch,
                 uint32_t ttl_ms)
{
    const struct affinity_owner owner = {.upstream = transit->upstream->config->name,
                                         .client = client_name(transit),
                                         .user = transit->user};
    const struct affinity_place place = {account_of(transit), epoch, ttl_ms};
    affinities_bind(affinities_of(transit), key, &owner, &place);
}

/* Who was served by another account because its own was full is with its own all the same. */
static void keep(struct transit *transit)
{
    uint32_t ttl_ms = route_of(transit)->affinity.ttl_ms;
    affinities_see(affinities_of(transit), &transit->session, now_of(transit), ttl_ms);
    bool is_prolonged = transit->is_bound && transit->affinity != AFFINITY_SPILL;
    if (transit->upstream->accounts != NULL && is_moved(transit)) {
        tell_of_move(transit);
    }
    if (transit->upstream->accounts != NULL && (is_moved(transit) || is_prolonged)) {
        uint32_t epoch = transit->is_bound && is_moved(transit) ? transit->bound.epoch : 0;
        bind(transit, &transit->session, epoch, ttl_ms);
    }
}

static void tell(struct transit *transit, struct http_head *head)
{
    struct http_field *room = transit->lane->relay->told;
    const char *word = affinity_word((enum affinity)transit->affinity);
    check(head->added_count < RELAY_TOLD_MAX);
    for (uint32_t i = 0; i < head->added_count; i++) {
        room[i] = head->added[i];
    }
    room[head->added_count] = (struct http_field){.name = SLICE("X-Weir-Session"),
                                                  .value = slice_of(word)};
    head->added = room;
    head->added_count++;
}

void session_answered(struct transit *transit, struct http_head *head)
{
    if (transit->affinity == AFFINITY_OFF) {
        return;
    }
    bool is_served = head->status < 400;
    affinities_count(affinities_of(transit), (enum affinity)transit->affinity);
    if (is_served && transit->has_session) {
        keep(transit);
    }
    if (is_served && transit->upstream->accounts != NULL
        && affinity_pins(&route_of(transit)->affinity.sources)) {
        transit->hears |= HEARS_ID;
        ai_answer_begin(&transit->answer);
    }
    tell(transit, head);
}

void session_ended(struct transit *transit)
{
    const struct ai_answer *answer = &transit->answer;
    if ((transit->hears & HEARS_ID) == 0 || !answer->is_found) {
        return;
    }
    uint64_t scope = transit->session.scope;
    struct affinity_key key = affinity_key_of_answer(scope, answer->id, answer->len);
    uint32_t ttl_ms = transit->lane->relay->opt.config->sessions.ttl_ms;
    if (ttl_ms < route_of(transit)->affinity.ttl_ms) {
        ttl_ms = route_of(transit)->affinity.ttl_ms;
    }
    bind(transit, &key, 0, ttl_ms);
}
