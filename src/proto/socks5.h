/* SPDX-License-Identifier: Apache-2.0
 *
 * socks5.h - the client's part of a SOCKS5 handshake (RFC 1928, user and password by RFC 1929):
 * bytes to send, bytes to be read, and at the end a tunnel to the target or the step that failed.
 *
 *     socks5_begin ──▶ socks5_say ──▶ bytes ──▶ proxy ──▶ bytes ──▶ socks5_hear ──▶ socks5_say …
 *
 * What is always true: names are resolved by the proxy, never here; socks5_wanted() never asks for
 * a byte of the tunnel, so that whoever reads no more than that hands the rest on untouched;
 * nothing is allocated, and no step takes more than SOCKS5_STEP_MAX bytes.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCKS5_TEXT_MAX 255U                        /* bytes of a name, a user, a password */
#define SOCKS5_STEP_MAX (3U + 2U * SOCKS5_TEXT_MAX) /* the longest message: user and password */

/* Borrowed until the handshake is over. `user` empty: no authentication is offered. */
struct socks5_target {
    struct slice host; /* a name, or an address as text: 192.0.2.1, 2001:db8::1 */
    uint16_t port;
    struct slice user, password;
};

enum socks5_state {
    SOCKS5_GREETING, /* the methods we know were said, or are to be */
    SOCKS5_AUTH,     /* user and password */
    SOCKS5_REQUEST,  /* CONNECT, and the first bytes of the reply */
    SOCKS5_BOUND,    /* the rest of the reply */
    SOCKS5_OPEN,     /* the next byte is the tunnel's */
    SOCKS5_FAILED,
};

/* Why it failed: a row is the name, the text. Replies 1 to 8 are the proxy's own (RFC 1928 §6). */
#define SOCKS5_ERRORS(ROW)                                                                         \
    ROW(REFUSED, "the proxy failed")                                                               \
    ROW(RULES, "the proxy's rules forbid the target")                                              \
    ROW(NETWORK, "the proxy cannot reach the target's network")                                    \
    ROW(HOST, "the proxy cannot reach the target, or does not know its name")                      \
    ROW(TARGET_REFUSED, "the target refused the proxy's connection")                               \
    ROW(TTL, "the proxy's packets to the target expired")                                          \
    ROW(COMMAND, "the proxy does not know CONNECT")                                                \
    ROW(ADDRESS, "the proxy does not know that kind of address")                                   \
    ROW(REPLY, "the proxy gave a reply that is not in the standard")                               \
    ROW(VERSION, "what answers is not a SOCKS5 proxy")                                             \
    ROW(METHOD, "the proxy wants another authentication than was offered")                         \
    ROW(AUTH, "the proxy refused user and password")                                               \
    ROW(BOUND, "the proxy's reply is malformed")

enum socks5_error {
    SOCKS5_FINE = 0,
#define SOCKS5_ROW(name, text) SOCKS5_BAD_##name,
    SOCKS5_ERRORS(SOCKS5_ROW)
#undef SOCKS5_ROW
        SOCKS5_ERROR_COUNT
};

const char *socks5_error_text(enum socks5_error error);

struct socks5 {
    struct socks5_target target;
    enum socks5_state state;
    enum socks5_error error;
    bool said; /* the message of this state was handed out */
    uint16_t have;
    uint8_t heard[4 + 1 + SOCKS5_TEXT_MAX + 2];
};

/* False: a text is empty where it must not be, or longer than SOCKS5_TEXT_MAX; no handshake can
 * say it. */
bool socks5_begin(struct socks5 *socks, const struct socks5_target *target);

/* The message that is due; its length, 0: none, the proxy has to speak. */
size_t socks5_say(struct socks5 *socks, char ret[SOCKS5_STEP_MAX]);

/* How many bytes may be read now; 0 with OPEN and FAILED. */
size_t socks5_wanted(const struct socks5 *socks);

/* What was read, at most socks5_wanted() bytes. */
enum socks5_state socks5_hear(struct socks5 *socks, const char *at, size_t len);
