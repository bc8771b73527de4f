/* SPDX-License-Identifier: Apache-2.0
 *
 * connect.h - the client's part of an HTTP CONNECT handshake (RFC 9110 §9.3.6), with basic
 * authentication (RFC 7617) where a user is given: one request, one answer's head, then a tunnel.
 *
 * Always true: connect_wanted() never asks for a byte of the tunnel, so that whoever reads no more
 * than that hands the rest on untouched: of a head whose end is not in sight only the four bytes
 * of an empty line are sure. Nothing is kept of the answer but its status; a head longer than
 * CONNECT_HEAD_MAX fails.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECT_TEXT_MAX 255U   /* bytes of a host, a user, a password */
#define CONNECT_SAID_MAX 1536U  /* bytes of the request */
#define CONNECT_HEAD_MAX 16384U /* bytes of the answer's head */

/* Borrowed during connect_say(). */
struct connect_target {
    struct slice host; /* a name, or an address: an IPv6 one without brackets */
    uint16_t port;
    struct slice user, password; /* both empty: none */
};

enum connect_state { CONNECT_WAITING, CONNECT_OPEN, CONNECT_FAILED };

/* Why it failed: a row is the name, the text. */
#define CONNECT_ERRORS(ROW)                                                                        \
    ROW(NOT_HTTP, "what answers is not an HTTP proxy")                                             \
    ROW(AUTH, "the proxy refused user and password, or wants some (407)")                          \
    ROW(FORBIDDEN, "the proxy's rules forbid the target (403)")                                    \
    ROW(TARGET, "the proxy cannot reach the target (502, 503, 504)")                               \
    ROW(STATUS, "the proxy did not open a tunnel")                                                 \
    ROW(HEAD_SIZE, "the proxy's answer has too long a head")

enum connect_error {
    CONNECT_FINE = 0,
#define CONNECT_ROW(name, text) CONNECT_BAD_##name,
    CONNECT_ERRORS(CONNECT_ROW)
#undef CONNECT_ROW
        CONNECT_ERROR_COUNT
};

const char *connect_error_text(enum connect_error error);

/* All zeroes at the beginning. */
struct connect {
    enum connect_state state;
    enum connect_error error;
    uint32_t heard;
    uint16_t status;   /* of the answer; 0: not there yet */
    uint8_t line_have; /* of "HTTP/1.1 200 " */
    uint8_t ended;     /* how much of CR LF CR LF the last bytes are */
    char line[13];
};

/* The request; its length, 0: the target cannot be said (empty, too long, or with bytes that no
 * host, user or password has). */
size_t connect_say(const struct connect_target *target, char ret[CONNECT_SAID_MAX]);

/* How many bytes may be read now; 0 with OPEN and FAILED. */
size_t connect_wanted(const struct connect *connect);

/* What was read, at most connect_wanted() bytes. */
enum connect_state connect_hear(struct connect *connect, const char *at, size_t len);
