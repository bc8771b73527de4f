/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_tail.c - a census at a time, for all who follow.
 *
 * Numbers are given by the workers, each to its own events, so a census may have a later one of
 * another worker and not yet an earlier one of this: only numbers that had been given before it was
 * taken are told from it.
 */
#include "gateway/admin_tail.h"

#include "base/bytes.h"
#include "base/check.h"
#include "gateway/admin_events.h"
#include "gateway/admin_rows.h"
#include "gateway/admin_stream.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void on_timer(struct loop_timer *timer, uint64_t now_ms);

void tail_init(struct tail *tail, struct server *server, struct loop *loop)
{
    *tail = (struct tail){.server = server, .loop = loop, .timer = {.fire = on_timer}};
    list_init(&tail->followers);
}

void tail_fini(struct tail *tail)
{
    loop_timer_stop(tail->loop, &tail->timer);
    if (tail->census != NULL)
        census_abandon(tail->census);
    tail->census = NULL;
}

/* --- what is said --------------------------------------------------------------------------------
 */

static void say(struct tail *tail, struct follower *follower, const struct bytes *text)
{
    if (bytes_len(text) == 0)
        return;
    follower->exchange->ops->body(follower->exchange, bytes_at(text), bytes_len(text));
    follower->is_blocked = follower->exchange->ops->flush(follower->exchange);
    follower->said_ms = loop_now_ms(tail->loop);
}

static void write_lost(struct bytes *out, uint64_t lost, bool is_known)
{
    bytes_append_text(out, "event: events_lost\ndata: {\"event\":\"events_lost\",\"lost\":");
    if (is_known)
        bytes_printf(out, "%" PRIu64, lost);
    else
        bytes_append_text(out, "null");
    bytes_append_text(out, "}\n\n");
}

static void write_event(struct bytes *out, const struct server *server,
                        const struct merged_event *event)
{
    char room[ROW_BYTES], name[EVENT_ID_TEXT];
    struct json row = json_into(room, sizeof(room));
    json_open(&row, NULL, '{');
    admin_events_row(&row, server, event);
    json_close(&row, '}');
    admin_events_name(server, event->record->id, name);
    check(!row.full); /* it has room for the longest */
    bytes_printf(out, "id: %s\nevent: %s\ndata: ", name, admin_events_word(event->record));
    bytes_append(out, row.at, row.len);
    bytes_append_text(out, "\n\n");
}

/* What is not there between its last one and this. */
static void write_gap(struct bytes *out, struct follower *follower, uint64_t before)
{
    uint64_t lost = before - follower->last - 1;
    if (lost > 0)
        write_lost(out, lost, !follower->was_elsewhere);
    follower->was_elsewhere = false;
}

/* Those after its last one and up to the barrier. */
static void bring(struct tail *tail, struct follower *follower, const struct merged_event *events,
                  uint32_t count)
{
    struct bytes text;
    uint32_t i = 0;
    bytes_init(&text, &alloc_libc, TAIL_PIECE_BYTES + 2 * ROW_BYTES);
    while (i < count && events[i].record->id <= follower->last)
        i++;
    for (; i < count && events[i].record->id <= tail->barrier && !follower->is_blocked; i++) {
        write_gap(&text, follower, events[i].record->id);
        write_event(&text, tail->server, &events[i]);
        follower->last = events[i].record->id;
        if (bytes_len(&text) >= TAIL_PIECE_BYTES) {
            say(tail, follower, &text);
            bytes_clear(&text);
        }
    }
    if (!follower->is_blocked) {
        write_gap(&text, follower, tail->barrier + 1);
        follower->last = tail->barrier;
    }
    say(tail, follower, &text);
    bytes_fini(&text);
}

static bool is_behind(const struct follower *follower, uint64_t number)
{
    return !follower->is_blocked && follower->last < number;
}

static void on_census(void *arg, struct census *census)
{
    struct tail *tail = arg;
    uint32_t count;
    struct merged_event *events = admin_events_merge(tail->server, census, 0, &count);
    tail->census = NULL;
    for (struct node *it = list_first(&tail->followers); it != NULL; it = list_next(it)) {
        struct follower *follower = container_of(it, struct follower, on_tail);
        if (is_behind(follower, tail->barrier))
            bring(tail, follower, events, count);
    }
    free(events);
    census_free(census);
}

/* --- when ----------------------------------------------------------------------------------------
 */

static void ping(struct tail *tail, struct follower *follower, uint64_t now_ms)
{
    struct bytes text;
    if (follower->is_blocked || now_ms - follower->said_ms < TAIL_PING_MS)
        return;
    bytes_init(&text, &alloc_libc, 64);
    bytes_append_text(&text, ": ping\n\n");
    say(tail, follower, &text);
    bytes_fini(&text);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct tail *tail = container_of(timer, struct tail, timer);
    uint64_t last = atomic_load(&tail->server->last_event);
    bool any = false;
    for (struct node *it = list_first(&tail->followers); it != NULL; it = list_next(it)) {
        struct follower *follower = container_of(it, struct follower, on_tail);
        any = any || is_behind(follower, last);
        ping(tail, follower, now_ms);
    }
    if (any && tail->census == NULL) {
        tail->barrier = last;
        /* If it cannot be taken the next look tries again. */
        census_take(tail->server, CENSUS_EVENTS, NULL, on_census, tail, &tail->census);
    }
    if (tail->followers.count > 0)
        loop_timer_set(tail->loop, timer, now_ms + TAIL_LOOK_MS);
}

bool tail_join(struct tail *tail, struct follower *follower, struct http_exchange *exchange,
               struct slice after)
{
    static const char hello[] = "retry: 1000\n\n";
    uint64_t last = atomic_load(&tail->server->last_event), number;
    if (tail->followers.count == TAIL_FOLLOWERS_MAX)
        return false;
    *follower =
        (struct follower){.exchange = exchange, .last = last, .said_ms = loop_now_ms(tail->loop)};
    if (after.len > 0) {
        bool is_ours = admin_events_number(tail->server, after, &number) && number <= last;
        follower->last = is_ours ? number : 0;
        follower->was_elsewhere = !is_ours;
    }
    admin_stream_begin(exchange);
    exchange->ops->body(exchange, hello, sizeof(hello) - 1);
    follower->is_blocked = exchange->ops->flush(exchange);
    if (tail->followers.count == 0)
        loop_timer_set(tail->loop, &tail->timer, loop_now_ms(tail->loop) + 1);
    list_push_back(&tail->followers, &follower->on_tail);
    return true;
}

void tail_leave(struct tail *tail, struct follower *follower)
{
    list_remove(&tail->followers, &follower->on_tail);
}

void tail_drained(struct tail *tail, struct follower *follower)
{
    (void)tail;
    follower->is_blocked = false;
}
