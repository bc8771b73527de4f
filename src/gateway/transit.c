/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/fetch.h"
#include "gateway/clients.h"
#include "gateway/relay_parts.h"
#include "io/loop.h"

static void count(struct transit *transit, uint64_t total_us, uint64_t first_byte_us);
static void profile_it(struct transit *transit, uint64_t total_us, uint64_t first_byte_us);
static void log_it(struct transit *transit, uint64_t total_us, uint64_t first_byte_us);
static void leave_client(struct transit *transit);

static uint64_t us_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;
}

struct transit *transit_new(struct lane *lane, struct http_exchange *ex)
{
    struct relay *relay = lane->relay;
    struct transit *transit = relay->unused;
    if (transit != NULL) {
        relay->unused = transit->next_free;
        relay->unused_count--;
        fetch(relay->unused, offsetof(struct transit, held.out)); /* for the next request */
    } else {
        transit = alloc_new(&alloc_libc, sizeof *transit);
        if (transit == NULL) {
            return NULL;
        }
        transit->on_relay = (struct node){0};
        list_push_back(&relay->transits, &transit->on_relay);
        transit->hold = (struct hold){.stock = &relay->opt.shared->lasting->stock};
        transit->wait = (struct waiter){.until_ms = 0};
        transit->held = (struct held){0};
    }
    memset(transit, 0, offsetof(struct transit, on_relay));
    transit->lane = lane;
    transit->ex = ex;
    transit->series = lane->nowhere;
    transit->endpoint = BALANCE_NOBODY;
    transit->body_held = true;
    transit->begun_ns = loop_turn_ns(relay->opt.loop);
    if (relay->log.ring != NULL || relay->opt.spans != NULL) {
        transit->is_tls = ex->peer->tls;
        memcpy(transit->client, ex->peer->text, sizeof transit->client);
        transit->client_len = ex->peer->text_len;
    }
    relay->open++;
    return transit;
}

void transit_settle(struct transit *transit)
{
    struct relay *relay = transit->lane->relay;
    uint64_t now_ns = loop_turn_ns(relay->opt.loop);
    uint64_t first_byte_us = transit->first_byte_ns != 0
                                 ? us_between(transit->begun_ns, transit->first_byte_ns)
                                 : 0;
    uint64_t total_us = us_between(transit->begun_ns, now_ns);
    if (relay->opt.spans != NULL) {
        span_record(transit, now_ns);
    }
    count(transit, total_us, first_byte_us);
    if (IS_COUNTED && transit->upstream != NULL && transit->endpoint != BALANCE_NOBODY) {
        profile_it(transit, total_us, first_byte_us);
    }
    if (relay->log.ring != NULL) {
        log_it(transit, total_us, first_byte_us);
    }
    if (transit->hears != 0) {
        stream_end(transit);
    }
    if (transit->watch != NULL) {
        health_watch_end(&relay->health, transit->watch);
        transit->watch = NULL;
    }
    if (transit->is_grpc) {
        rpc_end(&transit->rpc, relay->opt.loop);
    }
    if (transit->client_no != 0) {
        leave_client(transit);
    }
    transit_leave_pause(transit);
    transit_leave_account(transit);
    affinity_look_leave(&transit->look);
    if (transit->seat != 0) {
        clients_give(relay->opt.shared->clients, transit->seat);
        transit->seat = 0;
    }
}

static void leave_client(struct transit *transit)
{
    transit_leave_line(transit, false);
    if (transit->has_place) {
        relay_leave_place(transit->lane->relay, transit->client_no);
        transit->has_place = false;
    }
}

void transit_heed_thirst(struct transit *transit, bool is_thirsty)
{
    if (transit->is_thirsty != is_thirsty) {
        client_keys_thirst(transit->lane->relay->opt.shared->client_keys, transit->client_no - 1,
                           is_thirsty);
        transit->is_thirsty = is_thirsty;
    }
}

void transit_leave_line(struct transit *transit, bool is_refused)
{
    struct relay *relay = transit->lane->relay;
    transit_heed_thirst(transit, false);
    if (transit->waits_for_place) {
        wait_line_leave(&relay->client_line, &transit->wait);
        client_keys_wait_over(relay->opt.shared->client_keys, transit->client_no - 1, is_refused);
        transit->waits_for_place = false;
    }
}

void relay_leave_place(struct relay *relay, uint32_t client_no)
{
    client_keys_leave(relay->opt.shared->client_keys, client_no - 1);
    wait_line_wake(&relay->client_line);
}

void transit_leave_account(struct transit *transit)
{
    struct upstream *upstream = transit->upstream;
    if (upstream == NULL || upstream->accounts == NULL) {
        return;
    }
    if (wait_line_holds(&transit->wait)) {
        wait_line_leave(&upstream->line, &transit->wait);
        accounts_wait_over(upstream->accounts, &transit->wants);
    }
    if (transit->has_account) {
        transit->has_account = false;
        upstream_give_account(upstream, transit->account);
    }
}

void transit_free(struct transit *transit)
{
    struct relay *relay = transit->lane->relay;
    check(relay->open > 0);
    relay->open--;
    held_reset(&transit->held);
    hold_reset(&transit->hold);
    if (transit->is_websocket) {
        bytes_fini(&transit->ahead);
    }
    transit->state = TRANSIT_UNUSED;
    if (relay->unused_count < TRANSITS_KEPT_MAX) {
        transit->next_free = relay->unused;
        relay->unused = transit;
        relay->unused_count++;
    } else {
        list_remove(&relay->transits, &transit->on_relay);
        held_fini(&transit->held);
        alloc_free(&alloc_libc, transit);
    }
}

void transit_kept_free(struct relay *relay)
{
    while (relay->unused != NULL) {
        struct transit *transit = relay->unused;
        relay->unused = transit->next_free;
        list_remove(&relay->transits, &transit->on_relay);
        held_fini(&transit->held);
        alloc_free(&alloc_libc, transit);
    }
    relay->unused_count = 0;
}

struct slice transit_trace(struct transit *transit, char room[static FORWARD_TRACE_ID])
{
    bool is_known = transit->trace_begun != 0 || http_has(&transit->held.head, HTTP_TRACEPARENT);
    return is_known ? forward_trace_id(&transit->lane->relay->forward, transit->trace_begun,
                                       held_head(&transit->held), room)
                    : (struct slice){"", 0};
}

/* For a bucket that has had none for a while. */
static void exemplify(struct transit *transit, struct exemplar *example, uint64_t us)
{
    char room[FORWARD_TRACE_ID];
    struct slice trace = transit_trace(transit, room);
    if (trace.len == EXEMPLAR_TRACE) {
        exemplar_take(example, loop_now_ms(transit->lane->relay->opt.loop), us, trace.at);
    }
}

static void count_time(struct transit *transit, struct timing *timing, struct exemplar *examples,
                       uint64_t us)
{
    struct exemplar *example = &examples[timing_add(timing, us)];
    if (exemplar_is_due(example, loop_now_ms(transit->lane->relay->opt.loop))) {
        exemplify(transit, example, us);
    }
}

static void count(struct transit *transit, uint64_t total_us, uint64_t first_byte_us)
{
    struct relay_series *series = transit->series;
    unsigned code = transit->status < RELAY_CODES ? transit->status : 0;
    count_one(&series->by_code[code]);
    count_time(transit, &series->total, series->total_examples, total_us);
    if (transit->first_byte_ns != 0) {
        count_time(transit, &series->first_byte, series->first_byte_examples, first_byte_us);
    }
    if (transit->request_bytes != 0) {
        count_add(&series->request_bytes, transit->request_bytes);
    }
    if (transit->answer_bytes != 0) {
        count_add(&series->answer_bytes, transit->answer_bytes);
    }
    if (transit->fault != FAULT_NONE && transit->first_byte_ns != 0) {
        count_one(&series->cut);
    }
    if (transit->status >= 500
        || (transit->fault != FAULT_NONE && fault_status(transit->fault) >= 500)) {
        count_one(&series->failed);
    }
}

static uint64_t queue_us_of(const struct transit *transit)
{
    return transit->granted_ns != 0 ? us_between(transit->begun_ns, transit->granted_ns) : 0;
}

/* Of one that never had a connection, all was waiting. */
static void profile_it(struct transit *transit, uint64_t total_us, uint64_t first_byte_us)
{
    bool has_account = transit->upstream->config->accounts.count > 0 && transit->tries > 0;
    struct profile_entry entry = {
        .now_ms = loop_now_ms(transit->lane->relay->opt.loop),
        .queue_us = transit->granted_ns != 0 ? queue_us_of(transit) : total_us,
        .first_byte_us = first_byte_us,
        .total_us = total_us,
        .took = transit->took,
        .endpoint = transit->endpoint,
        .account = has_account ? transit->account : UINT32_MAX,
        .status = transit->status,
        .fault = transit->fault,
        .reused = transit->reused,
    };
    if (profile_keeps(transit->upstream->profile, entry.now_ms, total_us)) {
        const struct http_head *head = held_head(&transit->held);
        entry.method = head->method;
        entry.path = route_path_of(head->path);
    }
    profile_add(transit->upstream->profile, &entry);
}

static void log_it(struct transit *transit, uint64_t total_us, uint64_t first_byte_us)
{
    struct relay *relay = transit->lane->relay;
    const struct http_head *head = held_head(&transit->held);
    const struct upstream *upstream = transit->upstream;
    char trace[FORWARD_TRACE_ID];
    const struct access_entry entry = {
        .now_ms = loop_now_ms(relay->opt.loop),
        .listener = transit->lane->config->name,
        .upstream = upstream != NULL ? upstream->config->name : "",
        .endpoint = upstream != NULL && transit->endpoint != BALANCE_NOBODY
                        ? upstream->endpoints[transit->endpoint].config->name
                        : "",
        .account = upstream != NULL && transit->tries > 0 && upstream->config->accounts.count > 0
                       ? upstream->config->accounts.at[transit->account].name
                       : "",
        .session = affinity_word((enum affinity)transit->affinity),
        .client = {transit->client, transit->client_len},
        .client_name = transit->client_no != 0 ? client_keys_name(relay->opt.shared->client_keys,
                                                                  transit->client_no - 1)
                                               : "",
        .method = head->method,
        .host = head->authority,
        .path = route_path_of(head->path),
        .trace = transit_trace(transit, trace),
        .status = transit->status,
        .error = fault_code(transit->fault),
        .cut = transit->fault != FAULT_NONE && transit->first_byte_ns != 0,
        .reused = transit->reused,
        .retries = transit->tries > 0 ? transit->tries - 1U : 0,
        .request_bytes = transit->request_bytes,
        .answer_bytes = transit->answer_bytes,
        .queue_us = queue_us_of(transit),
        .took = transit->took,
        .first_byte_us = first_byte_us,
        .total_us = total_us,
    };
    access_write(&relay->log, &entry);
}
