/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_stream.c - what is heard of an answer while it passes: its id, the tokens that it says it
 * took, and, of an event stream, that nothing comes.
 *
 *     heard      of which answers                                       for
 *     id         served ones, on routes where an answer's id binds      affinity.h
 *     tokens     JSON and event streams of upstreams with accounts,     accounts.h
 *                or to clients of the configuration                     client_keys.h
 *     silence    event streams, where the route has sse_heartbeat       the client: ": ping"
 *
 * Not a byte of it is changed, held back or copied; a heartbeat stands between two events, or there
 * is none. Answers that are compressed are passed unread. Of all others nothing is heard, which
 * costs them a branch.
 */
#include "gateway/relay_parts.h"
#include "io/loop.h"

static void on_silence(struct loop_timer *timer, uint64_t now_ms);

enum content { CONTENT_OTHER, CONTENT_JSON, CONTENT_EVENTS };

static enum content content_of(const struct http_head *head)
{
    const struct http_field *type = http_find(head, HTTP_CONTENT_TYPE);
    struct slice rest = type != NULL ? type->value : (struct slice){"", 0}, name;
    slice_split(&rest, ';', &name);
    name = slice_trim(name);
    if (slice_is_nocase(name, "text/event-stream")) {
        return CONTENT_EVENTS;
    }
    return slice_is_nocase(name, "application/json") ? CONTENT_JSON : CONTENT_OTHER;
}

/* Whether somebody wants to know how many tokens it takes. */
static bool is_metered(const struct transit *transit)
{
    return transit->upstream->accounts != NULL || transit->client_no != 0;
}

static void watch_silence(struct transit *transit, const struct http_head *head)
{
    uint32_t every_ms = transit->rules->route->sse_heartbeat_ms;
    struct answer_pulse *pulse = &transit->pulse;
    if (every_ms == 0 || head->framing == HTTP_NO_BODY || http_has(head, HTTP_CONTENT_LENGTH)) {
        return;
    }
    struct loop *loop = transit->lane->relay->opt.loop;
    transit->hears |= HEARS_SILENCE;
    *pulse = (struct answer_pulse){.timer = {.fire = on_silence}, .every_ms = every_ms};
    sse_begin(&pulse->sse);
    loop_timer_set(loop, &pulse->timer, loop_now_ms(loop) + every_ms);
}

void stream_begin(struct transit *transit, const struct http_head *head)
{
    enum content content = transit->is_grpc ? CONTENT_OTHER : content_of(head);
    bool is_metered_here = is_metered(transit) && head->status < 400;
    if (content == CONTENT_OTHER) {
        return;
    }
    if (http_has(head, HTTP_CONTENT_ENCODING)) {
        if (is_metered_here && transit->upstream->accounts != NULL) {
            accounts_unread(transit->upstream->accounts, transit->account);
        }
        return;
    }
    if (is_metered_here) {
        transit->hears |= HEARS_TOKENS;
        ai_usage_begin(&transit->usage, content == CONTENT_EVENTS);
    }
    if (content == CONTENT_EVENTS) {
        watch_silence(transit, head);
    }
}

void stream_hear(struct transit *transit, const void *data, size_t len)
{
    if ((transit->hears & HEARS_ID) != 0) {
        ai_answer_feed(&transit->answer, data, len);
    }
    if ((transit->hears & HEARS_TOKENS) != 0) {
        ai_usage_feed(&transit->usage, data, len);
    }
    if ((transit->hears & HEARS_SILENCE) != 0) {
        struct answer_pulse *pulse = &transit->pulse;
        struct loop *loop = transit->lane->relay->opt.loop;
        sse_feed(&pulse->sse, data, len);
        loop_timer_set(loop, &pulse->timer, loop_now_ms(loop) + pulse->every_ms);
    }
}

/* A client that takes nothing is not told that nothing comes: it is who is waited for. */
static void on_silence(struct loop_timer *timer, uint64_t now_ms)
{
    struct transit *transit = container_of(timer, struct transit, pulse.timer);
    struct answer_pulse *pulse = &transit->pulse;
    struct http_exchange *ex = transit->ex;
    loop_timer_set(transit->lane->relay->opt.loop, timer, now_ms + pulse->every_ms);
    if (!transit->upstream_paused && sse_is_between(&pulse->sse)) {
        static const char lf[] = ": ping\n\n", crlf[] = ": ping\r\n\r\n";
        bool is_crlf = sse_is_crlf(&pulse->sse);
        ex->ops->body(ex, is_crlf ? crlf : lf, (is_crlf ? sizeof crlf : sizeof lf) - 1);
        transit_pace_upstream(transit, ex->ops->flush(ex));
    }
}

static void note_usage(struct transit *transit, const struct ai_usage_said *said)
{
    if (transit->upstream->accounts != NULL) {
        accounts_used(transit->upstream->accounts, transit->account, said);
    }
    if (transit->client_no != 0) {
        client_keys_used(transit->lane->relay->opt.shared->client_keys, transit->client_no - 1,
                         said);
    }
}

/* However it ended: what an answer that was cut has said until then was taken, too. */
void stream_end(struct transit *transit)
{
    struct ai_usage_said said;
    if ((transit->hears & HEARS_SILENCE) != 0) {
        loop_timer_stop(transit->lane->relay->opt.loop, &transit->pulse.timer);
    }
    if ((transit->hears & HEARS_TOKENS) != 0 && ai_usage_get(&transit->usage, &said)) {
        note_usage(transit, &said);
    }
    transit->hears = 0;
}
