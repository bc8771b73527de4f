/* SPDX-License-Identifier: Apache-2.0
 *
 * What an end says. While its bytes are worked through all of it leaves in one system call, at the
 * end; else at once.
 */
#include "base/check.h"
#include "connector/websocket_live.h"

#include <string.h>

#define MASK_LEN 4U

void ws_end_flush(struct ws_end *end)
{
    struct ws_live *live = end->live;
    if (live == NULL || (end->desk->cork.owner != &live->out && !outbox_is_blocked(&live->out))) {
        return;
    }
    bool was_blocked = outbox_is_blocked(&live->out);
    end->was_blocked = end->was_blocked || was_blocked; /* who saw it unsent hears when it is not */
    size_t sent = outbox_flush(&live->out, end->stream);
    end->bytes_out += sent;
    ws_tally(&end->desk->counters.bytes_out, sent);
    if (outbox_is_blocked(&live->out)) {
        end->was_blocked = true;
        if (sent > 0 || !was_blocked) {
            live->blocked_ms = loop_now_ms(end->desk->loop);
            ws_end_arm(end);
        }
    }
}

/* `data` is borrowed until the next flush. */
static void put_frame(struct ws_end *end, unsigned first, const void *data, size_t len)
{
    struct outbox *out = &end->live->out;
    char head[WS_HEAD_MAX];
    if (end->is_server) {
        outbox_text(out, head, ws_write_head(head, (uint8_t)first, len, NULL));
        outbox_refer(out, data, len);
        return;
    }
    uint8_t mask[MASK_LEN];
    ws_desk_random(end->desk, mask, sizeof mask);
    size_t head_len = ws_write_head(head, (uint8_t)first, len, mask);
    char *room = outbox_room(out, head_len + len);
    if (room != NULL) {
        memcpy(room, head, head_len);
        if (len > 0) {
            memcpy(room + head_len, data, len);
            ws_mask(room + head_len, len, mask, 0);
        }
    }
}

/* Whether so much more may be kept. */
static bool has_room(struct ws_end *end, size_t len)
{
    const struct ws_live *live = end->live;
    if (bytes_len(&live->out.kept) + len > end->desk->limits.unsent_max) {
        ws_end_flush(end);
    }
    size_t kept = bytes_len(&live->out.kept);
    return kept == 0 || kept + len <= end->desk->limits.unsent_max;
}

/* The message as it goes: deflated where that was agreed and is worth it. */
static struct slice squeeze(struct ws_end *end, unsigned *first, struct slice message)
{
    struct ws_desk *desk = end->desk;
    if (!end->deflates || message.len < desk->limits.deflate_min) {
        return message;
    }
    if (end->codec == NULL) {
        end->codec = ws_deflate_new(desk->alloc, &end->terms, end->is_server,
                                    desk->limits.message_bytes_max);
    }
    bytes_clear(&desk->deflated);
    if (end->codec == NULL || !ws_deflate_message(end->codec, message, &desk->deflated)) {
        return message;
    }
    *first |= WS_RSV1;
    return bytes_slice(&desk->deflated);
}

/* While bytes are worked through the small ones gather; `is_ours`: the data stays until then. */
static void sent(struct ws_end *end, size_t len)
{
    end->messages_out++;
    ws_tally(&end->desk->counters.messages_out, 1);
    if (!end->is_feeding || len > CORK_COPY_BYTES) {
        ws_end_flush(end);
    }
    if (!end->is_feeding) {
        ws_end_said(end);
    }
}

static weir_err may_send(struct ws_end *end, size_t len)
{
    if (end->state != WS_END_OPEN || (end->live != NULL && end->live->out.failed)) {
        return WEIR_ESTATE;
    }
    if (ws_end_wake(end) == NULL) {
        return WEIR_ENOMEM;
    }
    if (!has_room(end, len + WS_HEAD_MAX)) {
        end->was_blocked = true;
        return WEIR_EAGAIN;
    }
    return WEIR_OK;
}

weir_err ws_end_send(struct ws_end *end, unsigned opcode, const void *data, size_t len)
{
    weir_err err = len > UINT32_MAX ? WEIR_ETOO_LARGE : may_send(end, len);
    if (err != WEIR_OK) {
        return err;
    }
    unsigned first = opcode | WS_FIN;
    struct slice message = squeeze(end, &first, (struct slice){data, (uint32_t)len});
    put_frame(end, first, message.at, message.len);
    sent(end, message.len);
    if (end->desk->deflated.size > 65536) {
        bytes_release(&end->desk->deflated);
    }
    return WEIR_OK;
}

weir_err ws_end_send_frame(struct ws_end *end, struct slice frame)
{
    check(end->is_server);
    weir_err err = may_send(end, frame.len);
    if (err == WEIR_OK) {
        outbox_refer(&end->live->out, frame.at, frame.len);
        sent(end, frame.len);
    }
    return err;
}

weir_err ws_end_ping(struct ws_end *end, struct slice payload)
{
    weir_err err = payload.len > WS_CONTROL_MAX ? WEIR_ETOO_LARGE : may_send(end, payload.len);
    if (err != WEIR_OK) {
        return err;
    }
    put_frame(end, WS_PING | WS_FIN, payload.at, payload.len);
    ws_tally(&end->desk->counters.pings, 1);
    if (!end->is_feeding) {
        ws_end_flush(end);
        ws_end_said(end);
    }
    return WEIR_OK;
}

/* Who pings and does not read is owed one answer, to its latest (RFC 6455 §5.5.3). */
void ws_end_pong(struct ws_end *end, struct slice payload)
{
    struct ws_live *live = end->live;
    if (outbox_is_blocked(&live->out)) {
        live->owes_pong = true;
        live->pong_len = (uint8_t)payload.len;
        memmove(live->pong, payload.at, payload.len);
        return;
    }
    put_frame(end, WS_PONG | WS_FIN, payload.at, payload.len);
}

void ws_end_say_close(struct ws_end *end, uint16_t code, struct slice reason)
{
    char payload[WS_CONTROL_MAX];
    if (ws_end_wake(end) == NULL) {
        return; /* it ends by its time */
    }
    end->live->owes_pong = false;
    put_frame(end, WS_CLOSE | WS_FIN, payload, ws_write_close(payload, code, reason));
}

void ws_end_say_last(struct ws_end *end, uint16_t code)
{
    char frame[WS_HEAD_MAX + WS_CONTROL_MAX], payload[WS_CONTROL_MAX];
    uint8_t mask[MASK_LEN];
    size_t len = ws_write_close(payload, code, (struct slice){0});
    ws_desk_random(end->desk, mask, sizeof mask);
    size_t head_len = ws_write_head(frame, WS_CLOSE | WS_FIN, len, end->is_server ? NULL : mask);
    memcpy(frame + head_len, payload, len);
    if (!end->is_server) {
        ws_mask(frame + head_len, len, mask, 0);
    }
    const struct iovec part = {frame, head_len + len};
    stream_writev(end->stream, &part, 1);
}

bool ws_end_raw(struct ws_end *end, const char *at, size_t len)
{
    if (ws_end_wake(end) == NULL) {
        return false;
    }
    outbox_text(&end->live->out, at, len);
    ws_end_flush(end);
    bool failed = end->live->out.failed;
    ws_end_said(end);
    return !failed;
}

size_t ws_end_unsent(const struct ws_end *end)
{
    return end->live != NULL ? bytes_len(&end->live->out.kept) : 0;
}
