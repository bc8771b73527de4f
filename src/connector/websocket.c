/* SPDX-License-Identifier: Apache-2.0
 *
 * What an end hears, and the turns of its life.
 */
#include "connector/websocket.h"

#include "base/check.h"
#include "connector/websocket_live.h"
#include "io/tls.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define MESSAGE_KEEP_MAX 16384U       /* of memory that a spare record may keep */
#define FORGET_MAX       (256U << 10) /* read and forgotten behind the last frame */

static void end_ready(struct stream *stream, unsigned events);
static void end_readable(struct ws_end *end);
static void end_lost(struct ws_end *end, ssize_t how);
static void feed(struct ws_end *end, char *at, size_t len);

/* --- a desk -------------------------------------------------------------------------------------
 */

void ws_desk_init(struct ws_desk *desk, struct loop *loop, const struct alloc *alloc,
                  const struct ws_end_ops *ops, const struct ws_limits *limits, uint64_t seed)
{
    desk->loop = loop;
    desk->alloc = alloc;
    desk->ops = ops;
    desk->limits = *limits;
    desk->spare = NULL;
    desk->spare_count = 0;
    desk->random_left = 0;
    rand_init(&desk->jitter, seed);
    bytes_init(&desk->deflated, alloc, SIZE_MAX / 4);
    cork_init(&desk->cork, loop);
}

static void live_free(struct ws_desk *desk, struct ws_live *live)
{
    outbox_fini(&live->out);
    bytes_fini(&live->message);
    bytes_fini(&live->held);
    alloc_free(desk->alloc, live);
}

void ws_desk_fini(struct ws_desk *desk)
{
    while (desk->spare != NULL) {
        struct ws_live *live = desk->spare;
        desk->spare = live->spare;
        live_free(desk, live);
    }
    bytes_fini(&desk->deflated);
    cork_fini(&desk->cork);
}

void ws_desk_random(struct ws_desk *desk, uint8_t *ret, unsigned len)
{
    check(len <= sizeof desk->random);
    if (desk->random_left < len) {
        ssize_t got = getrandom(desk->random, sizeof desk->random, 0);
        check(got == sizeof desk->random); /* up to 256 bytes come whole (getrandom(2)) */
        desk->random_left = sizeof desk->random;
    }
    desk->random_left -= len;
    memcpy(ret, desk->random + desk->random_left, len);
}

/* --- awake and at rest --------------------------------------------------------------------------
 */

static struct ws_live *live_new(struct ws_desk *desk)
{
    struct ws_live *live = alloc_zeroed(desk->alloc, sizeof *live);
    if (live != NULL) {
        outbox_init(&live->out, &desk->cork, SIZE_MAX / 4); /* the bound is ws_end_send()'s */
        bytes_init(&live->message, desk->alloc, 1);         /* reader_begin() says how much */
        size_t cap;
        loop_buffer(desk->loop, &cap);
        bytes_init(&live->held, desk->alloc, cap);
    }
    return live;
}

static void reader_begin(const struct ws_end *end, struct ws_live *live)
{
    const struct ws_limits *limits = &end->desk->limits;
    const struct ws_rules rules = {.message_bytes_max = limits->message_bytes_max,
                                   .fragments_max = limits->fragments_max,
                                   .is_masked = end->is_server,
                                   .deflate = end->deflates};
    ws_reader_init(&live->reader, &rules);
    live->message.max = (size_t)limits->message_bytes_max + 1;
    live->owes_pong = false;
}

struct ws_live *ws_end_wake(struct ws_end *end)
{
    struct ws_desk *desk = end->desk;
    struct ws_live *live = end->live;
    if (live != NULL) {
        return live;
    }
    live = desk->spare;
    if (live != NULL) {
        desk->spare = live->spare;
        desk->spare_count--;
    } else {
        live = live_new(desk);
    }
    if (live != NULL) {
        reader_begin(end, live);
        end->live = live;
    }
    return live;
}

static void live_give(struct ws_end *end)
{
    struct ws_desk *desk = end->desk;
    struct ws_live *live = end->live;
    end->live = NULL;
    bool is_clean = !live->out.failed && !outbox_is_blocked(&live->out)
                    && desk->cork.owner != &live->out;
    if (desk->spare_count >= WS_SPARE_MAX || !is_clean) {
        live_free(desk, live);
        return;
    }
    if (live->message.size > MESSAGE_KEEP_MAX) {
        bytes_release(&live->message);
    }
    bytes_clear(&live->message);
    bytes_release(&live->held);
    live->spare = desk->spare;
    desk->spare = live;
    desk->spare_count++;
}

static bool is_at_rest(const struct ws_end *end)
{
    const struct ws_live *live = end->live;
    return end->state == WS_END_OPEN && ws_is_between(&live->reader) && live->reader.message == 0
           && bytes_len(&live->held) == 0 && !live->owes_pong && !outbox_is_blocked(&live->out)
           && end->desk->cork.owner != &live->out;
}

/* --- a life -------------------------------------------------------------------------------------
 */

bool ws_end_prepare(struct ws_end *end, struct ws_desk *desk)
{
    end->desk = desk;
    return ws_end_wake(end) != NULL;
}

void ws_end_forget(struct ws_end *end)
{
    live_give(end);
}

void ws_end_open(struct ws_end *end, struct ws_desk *desk, struct stream *take_stream,
                 bool is_server, const struct ws_terms *terms)
{
    end->desk = desk;
    end->stream = take_stream;
    end->is_server = is_server;
    end->deflates = terms != NULL;
    end->terms = terms != NULL ? *terms : WS_TERMS_DEFAULT;
    if (end->live != NULL) {
        reader_begin(end, end->live);
    }
    end->state = WS_END_OPEN;
    end->heard_ms = loop_now_ms(desk->loop);
    end->timer.fire = ws_end_fire;
    take_stream->owner = end;
    take_stream->on_ready = end_ready;
    end->wants = STREAM_READ;
    stream_want(take_stream, STREAM_READ);
    ws_end_arm(end);
}

static struct slice reason_of(const struct ws_end *end)
{
    const struct ws_live *live = end->live;
    bool has_reason = live != NULL && live->reader.is_closed && live->reader.control_len > 2;
    return has_reason ? (struct slice){live->reader.control + 2, live->reader.control_len - 2U}
                      : (struct slice){0};
}

void ws_end_gone(struct ws_end *end, weir_err err, uint16_t code)
{
    const struct ws_farewell farewell = {
        .err = err,
        .code = code,
        .reason = err == WEIR_OK ? reason_of(end) : (struct slice){0},
        .detail = end->bad != WS_FINE ? ws_error_word((enum ws_error)end->bad) : "",
    };
    if (end->state == WS_END_GONE) {
        return;
    }
    end->state = WS_END_GONE;
    loop_timer_stop(end->desk->loop, &end->timer);
    if (err != WEIR_OK && stream_is_tls(end->stream)) {
        tls_close_silently(end->stream); /* a cut must not look like an end */
    }
    stream_close(end->stream);
    end->stream = NULL;
    ws_deflate_free(end->codec);
    end->codec = NULL;
    struct ws_desk *desk = end->desk;
    struct ws_live *live = end->live; /* the reason lies in it */
    end->live = NULL;
    desk->ops->on_gone(end, &farewell);
    if (live != NULL) {
        live_free(desk, live);
    }
}

void ws_end_abort(struct ws_end *end, weir_err why)
{
    ws_end_gone(end, why, WS_CODE_ABNORMAL);
}

static void enter(struct ws_end *end, enum ws_end_state state)
{
    end->state = (uint8_t)state;
    end->since_ms = loop_now_ms(end->desk->loop);
    end->is_paused = false;
    ws_end_arm(end);
}

void ws_end_fail(struct ws_end *end, weir_err err, enum ws_error bad, uint16_t code)
{
    if (end->state >= WS_END_CLOSED) {
        return;
    }
    bool has_said = end->state == WS_END_CLOSING;
    end->err = (uint8_t)err;
    end->bad = (uint8_t)bad;
    end->code = code;
    if (!has_said) {
        ws_end_say_close(end, ws_code_is_sendable(code) ? code : WS_CODE_AWAY,
                         slice_of(bad != WS_FINE ? ws_error_word(bad) : ""));
    }
    enter(end, WS_END_FAILED);
}

void ws_end_close(struct ws_end *end, uint16_t code, struct slice reason)
{
    if (end->state != WS_END_OPEN) {
        return;
    }
    ws_end_say_close(end, code, reason);
    enter(end, WS_END_CLOSING);
    if (!end->is_feeding) {
        ws_end_flush(end);
        ws_end_said(end);
        ws_end_soon(end); /* what was held is read, for the peer's close */
    }
}

static void end_want(struct ws_end *end)
{
    bool is_blocked = end->live != NULL && outbox_is_blocked(&end->live->out);
    bool is_holding = end->is_paused || (end->live != NULL && bytes_len(&end->live->held) > 0);
    unsigned wants = (is_holding ? STREAM_HANGUP : STREAM_READ) | (is_blocked ? STREAM_WRITE : 0);
    if (wants != end->wants) {
        end->wants = (uint8_t)wants;
        stream_want(end->stream, wants);
    }
}

static void drained(struct ws_end *end)
{
    struct ws_live *live = end->live;
    if (live->owes_pong) {
        live->owes_pong = false;
        ws_end_pong(end, (struct slice){live->pong, live->pong_len});
        ws_end_flush(end);
    }
    if (end->was_blocked && !outbox_is_blocked(&live->out)) {
        end->was_blocked = false;
        if (end->state == WS_END_OPEN) {
            end->desk->ops->on_drain(end);
        }
    }
}

void ws_end_settle(struct ws_end *end)
{
    struct ws_live *live = end->live;
    if (end->state == WS_END_GONE || end->is_feeding) {
        return;
    }
    if (live != NULL && !outbox_is_blocked(&live->out) && !live->out.failed) {
        drained(end);
    }
    live = end->live;
    bool is_blocked = live != NULL && outbox_is_blocked(&live->out);
    if (live != NULL && live->out.failed) {
        ws_end_gone(end, end->state == WS_END_FAILED ? (weir_err)end->err : WEIR_ERESET,
                    end->state == WS_END_FAILED ? end->code : WS_CODE_ABNORMAL);
        return;
    }
    if (end->state == WS_END_CLOSED && end->is_server && !is_blocked) {
        ws_end_gone(end, WEIR_OK, end->code);
        return;
    }
    if (end->state == WS_END_FAILED && !is_blocked && !end->is_shut) {
        end->is_shut = true;
        stream_shutdown(end->stream);
    }
    end_want(end);
    if (live != NULL && is_at_rest(end)) {
        live_give(end);
    }
}

/* --- readiness ----------------------------------------------------------------------------------
 */

static void end_ready(struct stream *stream, unsigned events)
{
    struct ws_end *end = stream->owner;
    if ((events & STREAM_WRITE) != 0 && end->live != NULL) {
        ws_end_flush(end);
        ws_end_settle(end);
    }
    if (end->state == WS_END_GONE) {
        return;
    }
    if ((events & STREAM_READ) != 0) {
        end_readable(end);
    } else if ((events & STREAM_HANGUP) != 0) {
        end_lost(end, 0);
    }
}

static void count_in(struct ws_end *end, size_t len)
{
    end->bytes_in += len;
    ws_tally(&end->desk->counters.bytes_in, len);
}

static void end_readable(struct ws_end *end)
{
    size_t cap;
    char *buf = loop_buffer(end->desk->loop, &cap);
    ssize_t n = stream_read(end->stream, buf, cap);
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0) {
        end_lost(end, n);
        return;
    }
    count_in(end, (size_t)n);
    if (end->state >= WS_END_CLOSED) {
        end->forgotten += (uint32_t)n;
        if (end->forgotten > FORGET_MAX) {
            ws_end_gone(end, (weir_err)end->err, end->code);
        }
        return;
    }
    end->heard_ms = loop_now_ms(end->desk->loop);
    end->is_asked = false; /* whatever it was that was heard */
    feed(end, buf, (size_t)n);
}

/* The peer closed its direction (0), or the stream broke (-errno). */
static void end_lost(struct ws_end *end, ssize_t how)
{
    if (end->state >= WS_END_CLOSED) {
        ws_end_gone(end, (weir_err)end->err, end->code);
    } else {
        ws_end_gone(end, how == 0 ? WEIR_EHANGUP : WEIR_ERESET, WS_CODE_ABNORMAL);
    }
}

/* --- frames -------------------------------------------------------------------------------------
 */

static void bad(struct ws_end *end, enum ws_error error)
{
    weir_err err = error == WS_BAD_MESSAGE_SIZE ? WEIR_ETOO_LARGE
                   : error == WS_BAD_MEMORY     ? WEIR_ENOMEM
                                                : WEIR_EPROTOCOL;
    ws_end_fail(end, err, error, ws_error_code(error));
}

static void deliver(struct ws_end *end, unsigned opcode, const char *at, size_t len)
{
    end->messages_in++;
    ws_tally(&end->desk->counters.messages_in, 1);
    if (end->state == WS_END_OPEN) {
        end->desk->ops->on_message(end, opcode, at, len);
    }
}

static void deliver_gathered(struct ws_end *end, unsigned opcode)
{
    struct ws_live *live = end->live;
    deliver(end, opcode, bytes_at(&live->message), bytes_len(&live->message));
    bytes_clear(&live->message);
}

static enum ws_error inflate(struct ws_end *end, const struct ws_piece *piece)
{
    struct ws_live *live = end->live;
    struct slice out;
    ws_inflate_give(end->codec, piece->data.at, piece->data.len, piece->ends_message);
    for (;;) {
        enum ws_error error = ws_inflate_next(end->codec, &out);
        if (error != WS_FINE || out.len == 0) {
            return error;
        }
        if (piece->opcode == WS_TEXT && !utf8_feed(&live->utf8, out.at, out.len)) {
            return WS_BAD_TEXT;
        }
        if (!bytes_append_slice(&live->message, out)) {
            return WS_BAD_MEMORY;
        }
    }
}

static void take_deflated(struct ws_end *end, const struct ws_piece *piece)
{
    struct ws_live *live = end->live;
    enum ws_error error = inflate(end, piece);
    if (error == WS_FINE && piece->ends_message && piece->opcode == WS_TEXT
        && !utf8_is_whole(&live->utf8)) {
        error = WS_BAD_TEXT;
    }
    if (error != WS_FINE) {
        bad(end, error);
    } else if (piece->ends_message) {
        deliver_gathered(end, piece->opcode);
    }
}

static void take_data(struct ws_end *end, const struct ws_piece *piece)
{
    struct ws_live *live = end->live;
    if (piece->is_deflated) {
        take_deflated(end, piece);
    } else if (piece->ends_message && bytes_len(&live->message) == 0) {
        deliver(end, piece->opcode, piece->data.at, piece->data.len);
    } else if (!bytes_append_slice(&live->message, piece->data)) {
        bad(end, WS_BAD_MEMORY);
    } else if (piece->ends_message) {
        deliver_gathered(end, piece->opcode);
    }
}

static void take_head(struct ws_end *end, const struct ws_piece *piece)
{
    struct ws_live *live = end->live;
    if (!piece->opens_message) {
        return;
    }
    bytes_clear(&live->message);
    live->utf8 = (struct utf8){0};
    if (!piece->is_deflated) {
        return;
    }
    if (end->codec != NULL) {
        ws_inflate_limit(end->codec, end->desk->limits.message_bytes_max);
        return;
    }
    end->codec = ws_deflate_new(end->desk->alloc, &end->terms, end->is_server,
                                end->desk->limits.message_bytes_max);
    if (end->codec == NULL) {
        bad(end, WS_BAD_MEMORY);
    }
}

static void take_close(struct ws_end *end, const struct ws_piece *piece)
{
    end->code = piece->code;
    if (end->state == WS_END_OPEN) {
        ws_end_say_close(end, piece->code, (struct slice){0});
    }
    enter(end, WS_END_CLOSED);
}

static void take_control(struct ws_end *end, const struct ws_piece *piece)
{
    if (piece->opcode == WS_CLOSE) {
        take_close(end, piece);
    } else if (end->state != WS_END_OPEN) {
        return;
    } else if (piece->opcode == WS_PING) {
        ws_end_pong(end, piece->data);
    } else {
        ws_tally(&end->desk->counters.pongs, 1);
        end->desk->ops->on_pong(end, piece->data);
    }
}

static void take(struct ws_end *end, const struct ws_piece *piece)
{
    switch (piece->kind) {
    case WS_HEAD: take_head(end, piece); break;
    case WS_DATA: take_data(end, piece); break;
    case WS_CONTROL: take_control(end, piece); break;
    case WS_BAD: bad(end, piece->error); break;
    case WS_NOTHING: break;
    }
}

static void feed(struct ws_end *end, char *at, size_t len)
{
    struct ws_live *live = ws_end_wake(end);
    struct ws_piece piece = {.kind = WS_HEAD};
    size_t used = 0;
    if (live == NULL) {
        ws_end_say_last(end, WS_CODE_TRY_LATER);
        ws_end_gone(end, WEIR_ENOMEM, WS_CODE_TRY_LATER);
        return;
    }
    end->is_feeding = true;
    while (piece.kind != WS_NOTHING && end->state < WS_END_CLOSED && !end->is_paused) {
        used += ws_read(&live->reader, at + used, len - used, &piece);
        take(end, &piece);
    }
    end->is_feeding = false;
    if (end->is_paused && used < len && !bytes_append(&live->held, at + used, len - used)) {
        ws_end_gone(end, WEIR_ENOMEM, WS_CODE_ABNORMAL);
        return;
    }
    ws_end_flush(end);
    ws_end_settle(end);
}

void ws_end_feed(struct ws_end *end, char *at, size_t len)
{
    count_in(end, len);
    feed(end, at, len);
}

void ws_end_pause(struct ws_end *end, bool paused)
{
    if (end->state != WS_END_OPEN || end->is_paused == paused) {
        return;
    }
    end->is_paused = paused;
    if (!end->is_feeding) {
        end_want(end);
    }
    if (!paused) {
        ws_end_soon(end);
    }
}

void ws_end_resume(struct ws_end *end)
{
    struct ws_live *live = end->live;
    if (live == NULL || end->is_paused || bytes_len(&live->held) == 0) {
        return;
    }
    struct bytes held = live->held;
    bytes_init(&live->held, held.alloc, held.max);
    feed(end, bytes_at(&held), bytes_len(&held));
    bytes_fini(&held);
}

void ws_end_soon(struct ws_end *end)
{
    loop_timer_set(end->desk->loop, &end->timer, loop_now_ms(end->desk->loop));
}

void ws_end_said(struct ws_end *end)
{
    if (end->live == NULL) {
        return; /* there was no memory to say it with */
    }
    if (end->live->out.failed) {
        ws_end_soon(end);
        return;
    }
    end_want(end);
    if (is_at_rest(end)) {
        live_give(end);
    }
}
