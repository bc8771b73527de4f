/* SPDX-License-Identifier: Apache-2.0
 *
 * channel_pass.c - from a read to a write: what of it goes on, what is withheld until it is whole
 * (heads and control frames that a read has cut), what is swallowed (the pongs to our pings).
 *
 * So between two sides everything that was sent ends with a whole frame or inside a payload, never
 * inside a head; in the first case something may be put between.
 */
#include "base/check.h"
#include "gateway/channel_parts.h"

#include <string.h>
#include <sys/random.h>

#define PARTS_MAX 8

struct passing {
    struct channel_side *from, *to;
    struct ws_reader *reader;
    char *at;
    size_t used;  /* looked at */
    size_t run;   /* from here to there nothing was given yet */
    size_t frame; /* where the frame under way began */
    bool is_cut;  /* in an earlier read */
    bool is_mute;
    bool is_broken;
    int count;
    struct iovec parts[PARTS_MAX];
    char whole[WS_HEAD_MAX + WS_CONTROL_MAX]; /* the frame that was cut; there is one at most */
};

static void send(struct passing *p)
{
    if (p->count > 0 && !p->is_mute && !p->is_broken) {
        p->is_broken = !p->to->ops->send(p->to, p->parts, p->count);
    }
    p->count = 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): an iovec has no const */
static void give(struct passing *p, char *at, size_t len)
{
    if (len == 0) {
        return;
    }
    if (p->count == PARTS_MAX) {
        send(p);
    }
    p->parts[p->count++] = (struct iovec){at, len};
}

/* All of the run up to there. */
static void give_run(struct passing *p, size_t to)
{
    if (to > p->run) {
        give(p, p->at + p->run, to - p->run);
    }
    p->run = to;
}

/* A head, or a whole control frame, of which an earlier read had brought the beginning. */
static void give_whole(struct passing *p, const struct ws_piece *piece)
{
    size_t len = piece->head.len;
    memcpy(p->whole, piece->head.at, len);
    if (piece->kind == WS_CONTROL && piece->data.len > 0) {
        memcpy(p->whole + len, piece->data.at, piece->data.len);
        ws_mask(p->whole + len, piece->data.len, p->reader->mask, 0);
        len += piece->data.len;
    }
    give(p, p->whole, len);
    p->run = p->used;
}

/* --- what comes ------------------------------------------------------------------------------- */

static bool is_our_pong(struct passing *p, const struct ws_piece *piece)
{
    char payload[CHANNEL_PING_LEN];
    if (piece->opcode != WS_PONG || piece->data.len != sizeof payload) {
        return false;
    }
    channel_ping_payload(channel_of(p->from), payload);
    return memcmp(piece->data.at, payload, sizeof payload) == 0;
}

static void note_pong(struct channel_side *from)
{
    struct channel *channel = channel_of(from);
    uint32_t took_ms = channel_now_ms(channel) - from->pinged_ms;
    from->rtt_us = took_ms > 0 ? took_ms * 1000 : 1;
    count_one(&channel->series->channels.pongs);
}

static void note_control(struct passing *p, const struct ws_piece *piece)
{
    struct channel_side *from = p->from;
    if (piece->opcode == WS_CLOSE) {
        from->has_said_close = true;
        from->close_code = piece->code;
        p->to->was_told_close |= !p->is_mute;
    } else if (piece->opcode == WS_PING) {
        from->pings++;
    }
}

static void take_control(struct passing *p, const struct ws_piece *piece)
{
    if (is_our_pong(p, piece)) {
        give_run(p, p->is_cut ? p->run : p->frame);
        p->run = p->used;
        note_pong(p->from);
        return;
    }
    note_control(p, piece);
    if (p->is_cut) {
        give_whole(p, piece);
    }
}

static void take_head(struct passing *p, const struct ws_piece *piece)
{
    p->from->messages += piece->opens_message;
    if (p->is_cut) {
        give_whole(p, piece);
    }
}

/* False: it ends here. */
static bool step(struct passing *p, size_t len)
{
    struct ws_piece piece;
    if (ws_is_between(p->reader)) {
        if (p->used == len) {
            give_run(p, len);
            return false;
        }
        p->frame = p->used;
        p->is_cut = false;
    }
    p->used += ws_read(p->reader, p->at + p->used, len - p->used, &piece);
    switch (piece.kind) {
    case WS_HEAD: take_head(p, &piece); return true;
    case WS_DATA: return true;
    case WS_CONTROL: take_control(p, &piece); return true;
    case WS_BAD: break;
    case WS_NOTHING:
        if (p->reader->in_payload && (p->reader->opcode & WS_CLOSE) == 0) {
            give_run(p, len);
            return false;
        }
        break;
    }
    give_run(p, p->is_cut ? p->run : p->frame);
    return false;
}

/* --- readers ----------------------------------------------------------------------------------
 */

static struct ws_rules rules_of(struct channel_side *side)
{
    const struct channel *channel = channel_of(side);
    uint64_t most = channel->lane->config->websocket.max_message;
    return (struct ws_rules){
        .message_bytes_max = most != 0 ? most : UINT64_MAX,
        .fragments_max = UINT32_MAX, /* nothing of them is kept */
        .is_masked = !side->is_upstream,
        .deflate = channel->deflate,
        .transparent = true,
    };
}

static struct ws_reader *reader_of(struct channel_side *side)
{
    const struct channel *channel = channel_of(side);
    struct ws_reader *scratch = &channel_relay(channel)->channels.scratch;
    if (side->reader != NULL) {
        return side->reader;
    }
    const struct ws_rules rules = rules_of(side);
    ws_reader_init(scratch, &rules);
    scratch->is_closed = side->has_said_close;
    return scratch;
}

/* False: it must be kept, and there is no memory. */
static bool reader_put(struct channel_side *side, const struct ws_reader *reader)
{
    bool is_needed = !ws_is_between(reader) || reader->message != 0;
    if (!is_needed) {
        alloc_free(&alloc_libc, side->reader);
        side->reader = NULL;
    } else if (side->reader == NULL) {
        side->reader = alloc_new(&alloc_libc, sizeof *side->reader);
        if (side->reader == NULL) {
            return false;
        }
        *side->reader = *reader;
    }
    return true;
}

static void count(struct channel_side *side, uint64_t messages, size_t len)
{
    struct channel_counts *counts = &channel_of(side)->series->channels;
    side->bytes += len;
    count_add(&counts->bytes[side->is_upstream], len);
    count_add(&counts->messages[side->is_upstream], messages);
}

bool channel_pass_whole(struct channel_side *side, char *at, size_t len, bool *ret_is_broken)
{
    struct channel_side *to = channel_other(side);
    const struct ws_rules rules = rules_of(side);
    uint32_t messages = side->reader == NULL ? ws_count_whole(&rules, at, len) : 0;
    if (messages == 0) {
        return false;
    }
    const struct iovec part = {at, len};
    side->messages += messages;
    count(side, messages, len);
    *ret_is_broken = !to->ops->send(to, &part, 1);
    return true;
}

enum channel_passed channel_pass(struct channel_side *side, char *at, size_t len, bool is_mute)
{
    struct passing p;
    p.from = side;
    p.to = channel_other(side);
    p.reader = reader_of(side);
    p.at = at;
    p.used = p.run = p.frame = 0;
    p.count = 0;
    p.is_cut = !ws_is_between(p.reader); /* told only of heads and control frames */
    p.is_mute = is_mute;
    p.is_broken = false;
    uint64_t messages = side->messages;
    while (step(&p, len)) {
    }
    count(side, side->messages - messages, len);
    enum ws_error bad = p.reader->error;
    if (bad == WS_FINE && !reader_put(side, p.reader)) {
        return CHANNEL_PASSED_MEMORY; /* before what begins a frame is sent */
    }
    send(&p);
    if (bad != WS_FINE) {
        channel_of(side)->bad = (uint8_t)bad;
        return CHANNEL_PASSED_BAD;
    }
    return p.is_broken ? CHANNEL_PASSED_BROKEN : CHANNEL_PASSED;
}

/* --- what we say ------------------------------------------------------------------------------ */

bool channel_may_say(const struct channel_side *to)
{
    const struct channel_side *from = channel_other((struct channel_side *)(uintptr_t)to);
    bool is_inside = from->reader != NULL && from->reader->in_payload
                     && (from->reader->opcode & WS_CLOSE) == 0;
    return !to->is_gone && !to->is_shut && !to->was_told_close && !is_inside;
}

/* A mask is for those between who might mistake a payload for something else (RFC 6455 §10.3). */
bool channel_say(struct channel_side *to, enum ws_opcode opcode, struct slice payload)
{
    char frame[WS_HEAD_MAX + WS_CONTROL_MAX];
    uint8_t mask[4];
    check(payload.len <= WS_CONTROL_MAX);
    if (to->is_upstream && getrandom(mask, sizeof mask, GRND_NONBLOCK) != sizeof mask) {
        memset(mask, 0x5a, sizeof mask);
    }
    size_t len = ws_write_head(frame, (uint8_t)opcode | WS_FIN, payload.len,
                               to->is_upstream ? mask : NULL);
    if (payload.len > 0) {
        memcpy(frame + len, payload.at, payload.len);
    }
    if (to->is_upstream) {
        ws_mask(frame + len, payload.len, mask, 0);
    }
    const struct iovec part = {frame, len + payload.len};
    to->was_told_close |= opcode == WS_CLOSE;
    return to->ops->send(to, &part, 1);
}

void channel_ping_payload(const struct channel *channel, char ret[CHANNEL_PING_LEN])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < CHANNEL_PING_LEN; i++) {
        ret[i] = digits[channel->nonce >> (4 * i) & 15];
    }
}
