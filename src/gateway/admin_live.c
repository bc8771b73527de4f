/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_live.c - a timer, a census, one text, and everybody who reads it.
 *
 *     join ─▶ tick ─▶ census ─▶ text ─▶ each reader that is not behind ─▶ tick in a second …
 */
#include "gateway/admin_live.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/list.h"
#include "gateway/admin_page.h"
#include "gateway/admin_stream.h"
#include "gateway/census.h"
#include "io/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LIVE_CENSUS      (CENSUS_POOLS | CENSUS_ENDPOINTS | CENSUS_GROUPS)
#define LIVE_PIECE_BYTES 65536U /* at most that a page appends at a time */

struct admin_live {
    struct server *server;
    struct loop *loop;
    struct loop_timer timer;
    struct census *census; /* under way, or NULL */
    struct list readers;
    struct bytes text; /* the last snapshot, as an event */
    uint64_t made_ms;
};

struct live_reader {
    struct node on_live;
    struct admin_live *live;
    struct http_exchange *exchange;
    bool is_behind; /* has not taken what it was given */
};

/* Those whose page is written from no more than the census that is taken. */
static const char *const members[] = {"pools",   "endpoints", "accounts", "listeners",
                                      "process", "latency",   "alerts"};

static void on_time(struct loop_timer *timer, uint64_t now_ms);

struct admin_live *admin_live_new(struct server *server)
{
    struct admin_live *live = alloc_zeroed(&alloc_libc, sizeof(*live));
    if (live == NULL)
        return NULL;
    live->server = server;
    live->loop = server->opt.loop;
    live->timer.fire = on_time;
    list_init(&live->readers);
    bytes_init(&live->text, &alloc_libc, LIVE_BYTES_MAX);
    return live;
}

void admin_live_free(struct admin_live *take_live)
{
    if (take_live == NULL)
        return;
    loop_timer_stop(take_live->loop, &take_live->timer);
    if (take_live->census != NULL)
        census_abandon(take_live->census);
    bytes_fini(&take_live->text);
    alloc_free(&alloc_libc, take_live);
}

/* --- the text ------------------------------------------------------------------------------------
 */

/* An event ends at an empty line, so the text has to be one line; in JSON a line's end is a space
 * like any other, and none stands inside a string. */
static void one_line(char *text, size_t len)
{
    for (char *at = memchr(text, '\n', len); at != NULL;
         at = memchr(at, '\n', len - (size_t)(at - text)))
        *at = ' ';
}

static void write_member(struct admin_live *live, const struct census *census, const char *name)
{
    char path[40];
    unsigned methods;
    struct admin_ask ask = {.query = {"", 0}};
    snprintf(path, sizeof(path), "/api/v1/%s", name);
    const struct admin_page *page = admin_page_find(slice_of(path), HTTP_GET, &ask, &methods);
    if (page == NULL || page->write == NULL || (page->census & ~LIVE_CENSUS) != 0)
        return;
    bytes_printf(&live->text, ",\"%s\":", name);
    page->write(live->server, census, false, &live->text);
}

static void write_text(struct admin_live *live, const struct census *census)
{
    static const char begin[] = "event: snapshot\ndata: ", end[] = "}\n\n";
    struct bytes *text = &live->text;
    bytes_clear(text);
    bytes_printf(text, "%s{\"at_ms\":%llu,\"last_event\":%llu", begin,
                 (unsigned long long)clock_wall_ms(),
                 (unsigned long long)atomic_load(&live->server->last_event));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        write_member(live, census, members[i]);
    if (bytes_len(text) > LIVE_BYTES_MAX - LIVE_PIECE_BYTES) { /* a piece may have had no room */
        bytes_clear(text);
        bytes_append_text(text, "event: too_large\ndata: {}\n\n");
        return;
    }
    one_line(bytes_at(text) + sizeof(begin) - 1, bytes_len(text) - (sizeof(begin) - 1));
    bytes_append_text(text, end);
}

/* --- to those who read ---------------------------------------------------------------------------
 */

static void give(struct live_reader *reader)
{
    const struct bytes *text = &reader->live->text;
    struct http_exchange *exchange = reader->exchange;
    if (reader->is_behind)
        return;
    exchange->ops->body(exchange, bytes_at(text), bytes_len(text));
    reader->is_behind = exchange->ops->flush(exchange);
}

static void on_census(void *arg, struct census *census)
{
    struct admin_live *live = arg;
    live->census = NULL;
    write_text(live, census);
    census_free(census);
    live->made_ms = loop_now_ms(live->loop);
    weir_list_each(node, &live->readers)
        give(container_of(node, struct live_reader, on_live));
}

static void on_time(struct loop_timer *timer, uint64_t now_ms)
{
    struct admin_live *live = container_of(timer, struct admin_live, timer);
    if (live->readers.count == 0)
        return;
    loop_timer_set(live->loop, timer, now_ms + LIVE_EVERY_MS);
    if (live->census == NULL)
        census_take(live->server, LIVE_CENSUS, NULL, on_census, live, &live->census);
}

struct live_reader *admin_live_join(struct admin_live *live, struct http_exchange *exchange)
{
    struct live_reader *reader = live->readers.count < LIVE_READERS_MAX
                                     ? alloc_zeroed(&alloc_libc, sizeof(*reader))
                                     : NULL;
    uint64_t now_ms = loop_now_ms(live->loop);
    if (reader == NULL)
        return NULL;
    reader->live = live;
    reader->exchange = exchange;
    list_push_back(&live->readers, &reader->on_live);
    admin_stream_begin(exchange);
    if (bytes_len(&live->text) > 0 && now_ms - live->made_ms < UINT64_C(2) * LIVE_EVERY_MS)
        give(reader);
    else
        reader->is_behind = exchange->ops->flush(exchange);
    if (!loop_timer_is_set(&live->timer))
        loop_timer_set(live->loop, &live->timer, now_ms);
    return reader;
}

void admin_live_drained(struct live_reader *reader)
{
    reader->is_behind = false;
}

void admin_live_leave(struct live_reader *take_reader)
{
    list_remove(&take_reader->live->readers, &take_reader->on_live);
    alloc_free(&alloc_libc, take_reader);
}
