/* SPDX-License-Identifier: Apache-2.0 */
#include "io/outbox.h"

#include "base/check.h"

#include <errno.h>

static bool own(struct outbox *outbox);
static void keep(struct outbox *outbox, const void *data, size_t len);
static void keep_from(struct outbox *outbox, const struct iovec *parts, int count, size_t skip);
static void keep_corked(struct cork *cork, size_t skip);
static void uncork(struct cork *cork);
static void fail(struct outbox *outbox);
static ssize_t send_kept(struct outbox *outbox, struct stream *stream);
static void leave_now(struct outbox *outbox);
static void leave_all(struct loop_later *leaving);
static void forget_departures(struct cork *cork);

void cork_init(struct cork *cork, struct loop *loop)
{
    cork->loop = loop;
    cork->leaving = (struct loop_later){.run = leave_all};
    cork->departures = 0;
    cork->text_base = 0;
    uncork(cork);
}

void cork_fini(struct cork *cork)
{
    loop_later_cancel(cork->loop, &cork->leaving);
    forget_departures(cork);
}

static struct departure *departure_of(const struct outbox *outbox)
{
    struct cork *cork = outbox->cork;
    for (unsigned i = 0; i < cork->departures; i++) {
        if (cork->departure[i].outbox == outbox) {
            return &cork->departure[i];
        }
    }
    check(false); /* it said that it departs */
    return NULL;
}

void outbox_init(struct outbox *outbox, struct cork *cork, size_t kept_max)
{
    outbox->cork = cork;
    outbox->failed = outbox->departing = false;
    bytes_init(&outbox->kept, &alloc_libc, kept_max);
}

void outbox_fini(struct outbox *outbox)
{
    if (outbox->cork->owner == outbox) {
        uncork(outbox->cork);
    }
    if (outbox->departing) {
        departure_of(outbox)->outbox = NULL;
        outbox->departing = false;
    }
    bytes_fini(&outbox->kept);
}

char *outbox_room(struct outbox *outbox, size_t len)
{
    struct cork *cork = outbox->cork;
    if (own(outbox) && len <= CORK_TEXT_BYTES - cork->text_used) {
        char *room = cork->text + cork->text_used;
        struct iovec *last = cork->count > 0 ? &cork->parts[cork->count - 1] : NULL;
        if (last != NULL && (char *)last->iov_base + last->iov_len == room) {
            last->iov_len += len;
        } else if (cork->count < (int)CORK_PARTS_MAX) {
            cork->parts[cork->count++] = (struct iovec){room, len};
        } else {
            goto full;
        }
        cork->text_used += len;
        cork->bytes += len;
        return room;
    }
full:
    if (cork->owner == outbox) {
        keep_corked(cork, 0);
        uncork(cork);
    }
    char *room = outbox->failed ? NULL : bytes_room(&outbox->kept, len);
    if (room == NULL) {
        fail(outbox);
        return NULL;
    }
    bytes_filled(&outbox->kept, len);
    return room;
}

void outbox_unused(struct outbox *outbox, size_t len)
{
    struct cork *cork = outbox->cork;
    if (outbox->failed) {
        return;
    }
    if (cork->owner == outbox) {
        struct iovec *last = &cork->parts[cork->count - 1];
        check(cork->count > 0 && last->iov_len >= len);
        last->iov_len -= len;
        cork->text_used -= len;
        cork->bytes -= len;
    } else {
        check(bytes_len(&outbox->kept) >= len);
        outbox->kept.to -= len;
    }
}

void outbox_refer(struct outbox *outbox, const void *data, size_t len)
{
    struct cork *cork = outbox->cork;
    if (len <= CORK_COPY_BYTES) {
        outbox_text(outbox, data, len);
        return;
    }
    if (own(outbox) && cork->count < (int)CORK_PARTS_MAX) {
        union {
            const void *borrowed;
            void *base; /* writev only reads */
        } part = {.borrowed = data};
        cork->parts[cork->count++] = (struct iovec){part.base, len};
        cork->bytes += len;
        return;
    }
    if (cork->owner == outbox) {
        keep_corked(cork, 0);
        uncork(cork);
    }
    keep(outbox, data, len);
}

void outbox_text(struct outbox *outbox, const void *data, size_t len)
{
    char *room = len > 0 ? outbox_room(outbox, len) : NULL;
    if (room != NULL) {
        memcpy(room, data, len);
    }
}

size_t outbox_flush(struct outbox *outbox, struct stream *stream)
{
    struct cork *cork = outbox->cork;
    size_t sent = 0;
    leave_now(outbox);
    if (outbox_is_blocked(outbox)) {
        ssize_t n = send_kept(outbox, stream);
        sent = n > 0 ? (size_t)n : 0;
    }
    if (cork->owner != outbox) {
        return sent;
    }
    if (outbox->failed) {
        uncork(cork);
        return sent;
    }
    ssize_t n = 0;
    if (!outbox_is_blocked(outbox)) {
        n = stream_writev(stream, cork->parts, cork->count);
        if (n < 0 && n != -EAGAIN) {
            uncork(cork);
            fail(outbox);
            return sent;
        }
        n = n < 0 ? 0 : n;
    }
    if ((size_t)n < cork->bytes) {
        keep_corked(cork, (size_t)n);
    }
    uncork(cork);
    return sent + (size_t)n;
}

/* Makes this outbox the one that is corked. False where its bytes must be kept instead: some of it
 * waits already, or it has failed. */
static bool own(struct outbox *outbox)
{
    struct cork *cork = outbox->cork;
    if (cork->owner == outbox) {
        return true;
    }
    leave_now(outbox);
    if (outbox->failed || outbox_is_blocked(outbox)) {
        return false;
    }
    if (cork->owner != NULL) {
        keep_corked(cork, 0);
        uncork(cork);
    }
    cork->owner = outbox;
    return true;
}

static void keep(struct outbox *outbox, const void *data, size_t len)
{
    if (!outbox->failed && !bytes_append(&outbox->kept, data, len)) {
        fail(outbox);
    }
}

/* Copies them, but for their first `skip` bytes. */
static void keep_from(struct outbox *outbox, const struct iovec *parts, int count, size_t skip)
{
    for (int i = 0; i < count; i++) {
        const struct iovec *part = &parts[i];
        size_t cut = skip < part->iov_len ? skip : part->iov_len;
        keep(outbox, (const char *)part->iov_base + cut, part->iov_len - cut);
        skip -= cut;
    }
}

static void keep_corked(struct cork *cork, size_t skip)
{
    keep_from(cork->owner, cork->parts, cork->count, skip);
}

static void uncork(struct cork *cork)
{
    cork->owner = NULL;
    cork->text_used = cork->text_base;
    cork->bytes = 0;
    cork->count = 0;
}

static void fail(struct outbox *outbox)
{
    outbox->failed = true;
    bytes_release(&outbox->kept);
}

static ssize_t send_kept(struct outbox *outbox, struct stream *stream)
{
    struct iovec part = {bytes_at(&outbox->kept), bytes_len(&outbox->kept)};
    ssize_t n = stream_writev(stream, &part, 1);
    if (n < 0) {
        if (n != -EAGAIN) {
            fail(outbox);
        }
        return n;
    }
    bytes_consume(&outbox->kept, (size_t)n);
    if (!outbox_is_blocked(outbox)) {
        bytes_release(&outbox->kept); /* an idle connection holds no buffer */
    }
    return n;
}

/* --- departures ---------------------------------------------------------------------------------
 */

static bool is_text(const struct cork *cork, const struct iovec *part)
{
    uintptr_t from = (uintptr_t)cork->text;
    uintptr_t at = (uintptr_t)part->iov_base;
    return at >= from && at - from < sizeof cork->text;
}

/* Text stays where it is; what is borrowed does if it lies where the loop reads. */
static bool can_stay(const struct cork *cork, bool *ret_keeps)
{
    const struct iovec *borrowed = NULL;
    for (int i = 0; i < cork->count; i++) {
        if (is_text(cork, &cork->parts[i])) {
            continue;
        }
        if (borrowed != NULL) {
            return false;
        }
        borrowed = &cork->parts[i];
    }
    *ret_keeps = borrowed != NULL;
    return borrowed == NULL || loop_buffer_keep(cork->loop, borrowed->iov_base, borrowed->iov_len);
}

/* Outside of a turn nobody would come by to send it; and whoever corks next finds room, still. */
bool outbox_depart(struct outbox *outbox, struct stream *stream, outbox_departed *departed)
{
    struct cork *cork = outbox->cork;
    bool keeps;
    if (cork->owner != outbox || cork->count == 0 || cork->count > DEPARTURE_PARTS_MAX
        || cork->text_used > CORK_TEXT_BYTES / 2 || cork->departures == CORK_DEPARTURES_MAX
        || !loop_is_turning(cork->loop) || !can_stay(cork, &keeps)) {
        return false;
    }
    struct departure *departure = &cork->departure[cork->departures++];
    departure->outbox = outbox;
    departure->stream = stream;
    departure->departed = departed;
    departure->bytes = cork->bytes;
    departure->count = cork->count;
    departure->keeps = keeps;
    memcpy(departure->parts, cork->parts, (size_t)cork->count * sizeof cork->parts[0]);
    outbox->departing = true;
    cork->text_base = cork->text_used;
    uncork(cork);
    loop_later(cork->loop, &cork->leaving);
    return true;
}

static void leave(struct departure *departure)
{
    struct outbox *outbox = departure->outbox;
    departure->outbox = NULL;
    outbox->departing = false;
    ssize_t n = stream_writev(departure->stream, departure->parts, departure->count);
    size_t sent = n > 0 ? (size_t)n : 0;
    if (n < 0 && n != -EAGAIN) {
        fail(outbox);
    } else if (sent < departure->bytes) {
        keep_from(outbox, departure->parts, departure->count, sent);
    }
    departure->departed(outbox, sent);
}

static void forget_departures(struct cork *cork)
{
    for (unsigned i = 0; i < cork->departures; i++) {
        if (cork->departure[i].keeps) {
            loop_buffer_let_go(cork->loop);
        }
    }
    cork->departures = 0;
    cork->text_base = 0;
}

static void leave_now(struct outbox *outbox)
{
    if (outbox->departing) {
        leave(departure_of(outbox));
    }
}

/* Those that are told may put more among them. */
static void leave_all(struct loop_later *leaving)
{
    struct cork *cork = container_of(leaving, struct cork, leaving);
    for (unsigned i = 0; i < cork->departures; i++) {
        if (cork->departure[i].outbox != NULL) {
            leave(&cork->departure[i]);
        }
    }
    forget_departures(cork);
    if (cork->owner == NULL) {
        uncork(cork);
    }
}
