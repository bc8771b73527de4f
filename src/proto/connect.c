/* SPDX-License-Identifier: Apache-2.0
 *
 * connect.c - the answer is read four bytes at a time at most: a dial can afford that, and no byte
 * has to be given back.
 */
#include "proto/connect.h"

#include "base/check.h"
#include "proto/http.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define END_BYTES 4U /* CR LF CR LF */

const char *connect_error_text(enum connect_error error)
{
    static const char *const texts[] = {"fine",
#define CONNECT_ROW(name, text) (text),
                                        CONNECT_ERRORS(CONNECT_ROW)
#undef CONNECT_ROW
    };
    check((unsigned)error < CONNECT_ERROR_COUNT);
    return texts[error];
}

/* --- the request ----------------------------------------------------------------------------- */

static bool is_sayable(struct slice text, char without)
{
    bool is_good = text.len <= CONNECT_TEXT_MAX;
    for (uint32_t i = 0; i < text.len && is_good; i++) {
        is_good = (uint8_t)text.at[i] >= 0x20 && text.at[i] != 0x7f && text.at[i] != without;
    }
    return is_good;
}

static bool print_authority(const struct connect_target *target, char *ret, size_t size)
{
    bool is_ipv6 = slice_find(target->host, ':') < target->host.len;
    int len = snprintf(ret, size, is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", SLICE_ARG(target->host),
                       target->port);
    return target->host.len > 0 && len > 0 && (size_t)len < size
           && http_authority_valid((struct slice){ret, (uint32_t)len});
}

static void print_credentials(const struct connect_target *target, char *ret, size_t size)
{
    char pair[2 * CONNECT_TEXT_MAX + 2];
    uint8_t base64[4 * sizeof pair / 3 + 4];
    int len = snprintf(pair, sizeof pair, "%.*s:%.*s", SLICE_ARG(target->user),
                       SLICE_ARG(target->password));
    EVP_EncodeBlock(base64, (const uint8_t *)pair, len);
    snprintf(ret, size, "Proxy-Authorization: Basic %s\r\n", (const char *)base64);
}

size_t connect_say(const struct connect_target *target, char ret[CONNECT_SAID_MAX])
{
    char authority[CONNECT_TEXT_MAX + sizeof "[]:65535"];
    char credentials[800] = "";
    if (target->host.len > CONNECT_TEXT_MAX || !is_sayable(target->user, ':')
        || !is_sayable(target->password, '\0')
        || (target->user.len == 0 && target->password.len > 0)
        || !print_authority(target, authority, sizeof authority)) {
        return 0;
    }
    if (target->user.len > 0) {
        print_credentials(target, credentials, sizeof credentials);
    }
    int len = snprintf(ret, CONNECT_SAID_MAX, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n",
                       authority, authority, credentials);
    check(len > 0 && (unsigned)len < CONNECT_SAID_MAX);
    return (size_t)len;
}

/* --- the answer ------------------------------------------------------------------------------ */

size_t connect_wanted(const struct connect *connect)
{
    return connect->state == CONNECT_WAITING ? END_BYTES - connect->ended : 0;
}

static void fail(struct connect *connect, enum connect_error error)
{
    connect->state = CONNECT_FAILED;
    connect->error = error;
}

static bool is_digit_at(const struct connect *connect, unsigned i)
{
    return text_is_digit(connect->line[i]);
}

/* "HTTP/1.x NNN" and a space, or the end of the line. */
static void judge_line(struct connect *connect)
{
    const char *line = connect->line;
    bool is_http = memcmp(line, "HTTP/1.", 7) == 0 && is_digit_at(connect, 7) && line[8] == ' '
                   && is_digit_at(connect, 9) && is_digit_at(connect, 10)
                   && is_digit_at(connect, 11) && (line[12] == ' ' || line[12] == '\r');
    if (!is_http) {
        fail(connect, CONNECT_BAD_NOT_HTTP);
        return;
    }
    connect->status = (uint16_t)((line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0');
}

static enum connect_error error_of(unsigned status)
{
    switch (status) {
    case 407: return CONNECT_BAD_AUTH;
    case 403: return CONNECT_BAD_FORBIDDEN;
    case 502:
    case 503:
    case 504: return CONNECT_BAD_TARGET;
    default: return CONNECT_BAD_STATUS;
    }
}

/* An empty line: the head is over. 1xx are followed by another one (RFC 9110 §15.2). */
static void end_head(struct connect *connect)
{
    if (connect->status / 100 == 1) {
        connect->status = 0;
        connect->line_have = 0;
        connect->ended = 0;
    } else if (connect->status / 100 == 2) {
        connect->state = CONNECT_OPEN;
    } else {
        fail(connect, error_of(connect->status));
    }
}

static void hear_one(struct connect *connect, char byte)
{
    static const char end[END_BYTES] = {'\r', '\n', '\r', '\n'};
    if (connect->line_have < sizeof connect->line) {
        connect->line[connect->line_have++] = byte;
        if (connect->line_have == sizeof connect->line) {
            judge_line(connect);
        }
    }
    connect->ended = byte == end[connect->ended] ? connect->ended + 1 : byte == '\r' ? 1 : 0;
    if (connect->state == CONNECT_WAITING && connect->ended == END_BYTES) {
        if (connect->status == 0) {
            fail(connect, CONNECT_BAD_NOT_HTTP);
        } else {
            end_head(connect);
        }
    }
}

enum connect_state connect_hear(struct connect *connect, const char *at, size_t len)
{
    check(len <= connect_wanted(connect));
    for (size_t i = 0; i < len && connect->state == CONNECT_WAITING; i++) {
        hear_one(connect, at[i]);
    }
    connect->heard += (uint32_t)len;
    if (connect->state == CONNECT_WAITING && connect->heard >= CONNECT_HEAD_MAX) {
        fail(connect, CONNECT_BAD_HEAD_SIZE);
    }
    return connect->state;
}
