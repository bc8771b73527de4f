/* SPDX-License-Identifier: Apache-2.0
 *
 * takeover.h - what two processes say to each other while one takes over from the other, a message
 * a datagram: bytes and back.
 *
 *     message  =  "weir" | version u8 | kind u8 | 0 u16 | number u32 | pid u32 | count u64 | text
 *                                                                       all little endian
 *
 *     the one that serves                     the new one
 *       HELLO   its generation, pid     ─▶
 *       SOCKET  a name (and a socket)   ─▶      once for each
 *       OFFERED how many those were     ─▶
 *                                       ◀─    WANTED  its sessions, where it has some itself
 *       LENT    (and a copy, or none)   ─▶      opens everything, and serves nobody yet
 *       RECORDS what changes of them    ─▶      until the end
 *                                       ◀─    READY   its generation, pid
 *                                       ◀─    FAILED  why not; nothing has changed then
 *       accepts nobody any more
 *       STEERED what an operator set    ─▶      once for each
 *       COOLING what accounts wait for  ─▶      once for each
 *       TOTALS  (and what was counted)  ─▶      now and then from here on, and at its very end
 *       TAKEN                           ─▶      serves
 *       LEFT    clients that are left   ─▶      now and then, until it ends
 *
 * All messages have one layout, so that a later version can be told from an earlier one whatever it
 * says. What is always true: reading stays within the bytes it was given, and a message that is
 * taken keeps the limits of this header.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAKEOVER_VERSION     1U
#define TAKEOVER_HEAD        24U
#define TAKEOVER_TEXT_MAX    1000U  /* bytes; none of them below space */
#define TAKEOVER_RECORDS_MAX 12000U /* of RECORDS: any bytes */
#define TAKEOVER_MAX         (TAKEOVER_HEAD + TAKEOVER_RECORDS_MAX)

enum takeover_kind {
    TAKEOVER_HELLO = 1, /* number: generation; pid; count: upgrades that failed; text: version */
    TAKEOVER_SOCKET,    /* text: the listener's name; the socket comes with it */
    TAKEOVER_OFFERED,   /* count: sockets */
    TAKEOVER_READY,     /* number: generation; pid; text: version */
    TAKEOVER_FAILED,    /* text: why */
    TAKEOVER_TAKEN,
    TAKEOVER_LEFT, /* count: clients that are left */
    TAKEOVER_WANTED,
    TAKEOVER_LENT,    /* a file may come with it */
    TAKEOVER_STEERED, /* number: a mode; text: of whom */
    TAKEOVER_COOLING, /* number: a reason; count: until when (monotonic); text: of whom */
    TAKEOVER_RECORDS, /* frames of proto/session_record.h, in `text` */
    TAKEOVER_TOTALS,  /* a file of what has been counted comes with it */
    TAKEOVER_KINDS
};

struct takeover_message {
    enum takeover_kind kind;
    uint32_t number, pid;
    uint64_t count;
    struct slice text; /* lies in the bytes that were read */
};

enum takeover_read {
    TAKEOVER_GOOD,
    TAKEOVER_BAD,     /* no message */
    TAKEOVER_FOREIGN, /* one, of a version that is not understood */
};

/* Its length. Of a text the first bytes that it may have, and '?' for what may not be in it; of
 * records no more than there may be. */
size_t takeover_write(const struct takeover_message *message, char ret_bytes[TAKEOVER_MAX]);

enum takeover_read takeover_read(const char *bytes, size_t len,
                                 struct takeover_message *ret_message);
