/* SPDX-License-Identifier: Apache-2.0
 *
 * socks5.c - one message per state, and one answer of a length that its first bytes say.
 */
#include "proto/socks5.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <string.h>

#define VERSION      5
#define AUTH_VERSION 1
#define COMMAND      1 /* CONNECT */
#define METHOD_NONE  0x00
#define METHOD_USER  0x02
#define ADDRESS_IPV4 1
#define ADDRESS_NAME 3
#define ADDRESS_IPV6 4
#define REPLY_HEAD   5U /* version, reply, reserved, kind of address, its first byte */
#define REPLY_LAST   8U
#define PORT_BYTES   2U

const char *socks5_error_text(enum socks5_error error)
{
    static const char *const texts[] = {"fine",
#define SOCKS5_ROW(name, text) (text),
                                        SOCKS5_ERRORS(SOCKS5_ROW)
#undef SOCKS5_ROW
    };
    check((unsigned)error < SOCKS5_ERROR_COUNT);
    return texts[error];
}

bool socks5_begin(struct socks5 *socks, const struct socks5_target *target)
{
    *socks = (struct socks5){.target = *target};
    bool is_sayable = target->host.len > 0 && target->host.len <= SOCKS5_TEXT_MAX
                      && memchr(target->host.at, '\0', target->host.len) == NULL;
    bool has_user = target->user.len > 0;
    return is_sayable && target->user.len <= SOCKS5_TEXT_MAX
           && target->password.len <= SOCKS5_TEXT_MAX
           && (has_user ? target->password.len > 0 : target->password.len == 0);
}

/* --- what we say ----------------------------------------------------------------------------- */

static size_t put_text(char *ret, struct slice text)
{
    ret[0] = (char)text.len;
    memcpy(ret + 1, text.at, text.len);
    return 1 + text.len;
}

static size_t say_greeting(const struct socks5 *socks, char *ret)
{
    bool has_user = socks->target.user.len > 0;
    ret[0] = VERSION;
    ret[1] = has_user ? 2 : 1;
    ret[2] = METHOD_NONE;
    ret[3] = METHOD_USER;
    return has_user ? 4 : 3;
}

static size_t say_auth(const struct socks5 *socks, char *ret)
{
    ret[0] = AUTH_VERSION;
    size_t len = 1 + put_text(ret + 1, socks->target.user);
    return len + put_text(ret + len, socks->target.password);
}

/* An address goes as one, everything else as a name: the proxy asks the DNS, not we. */
static size_t put_host(char *ret, struct slice host)
{
    char text[SOCKS5_TEXT_MAX + 1];
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, ret + 1) == 1) {
        ret[0] = ADDRESS_IPV4;
        return 1 + sizeof(struct in_addr);
    }
    if (inet_pton(AF_INET6, text, ret + 1) == 1) {
        ret[0] = ADDRESS_IPV6;
        return 1 + sizeof(struct in6_addr);
    }
    ret[0] = ADDRESS_NAME;
    return 1 + put_text(ret + 1, host);
}

static size_t say_request(const struct socks5 *socks, char *ret)
{
    ret[0] = VERSION;
    ret[1] = COMMAND;
    ret[2] = 0;
    size_t len = 3 + put_host(ret + 3, socks->target.host);
    ret[len] = (char)(socks->target.port >> 8);
    ret[len + 1] = (char)socks->target.port;
    return len + PORT_BYTES;
}

size_t socks5_say(struct socks5 *socks, char ret[SOCKS5_STEP_MAX])
{
    if (socks->said) {
        return 0;
    }
    socks->said = true;
    switch (socks->state) {
    case SOCKS5_GREETING: return say_greeting(socks, ret);
    case SOCKS5_AUTH: return say_auth(socks, ret);
    case SOCKS5_REQUEST: return say_request(socks, ret);
    case SOCKS5_BOUND:
    case SOCKS5_OPEN:
    case SOCKS5_FAILED: break;
    }
    return 0;
}

/* --- what we hear ---------------------------------------------------------------------------- */

static void enter(struct socks5 *socks, enum socks5_state state)
{
    socks->state = state;
    socks->said = false;
    socks->have = state == SOCKS5_BOUND ? socks->have : 0;
}

static void fail(struct socks5 *socks, enum socks5_error error)
{
    socks->error = error;
    enter(socks, SOCKS5_FAILED);
}

static size_t reply_len(const uint8_t *head)
{
    size_t address = head[3] == ADDRESS_IPV4   ? sizeof(struct in_addr)
                     : head[3] == ADDRESS_IPV6 ? sizeof(struct in6_addr)
                                               : 1U + head[4];
    return REPLY_HEAD - 1 + address + PORT_BYTES;
}

/* Bytes of the answer that this state waits for. */
static size_t answer_len(const struct socks5 *socks)
{
    switch (socks->state) {
    case SOCKS5_GREETING:
    case SOCKS5_AUTH: return 2;
    case SOCKS5_REQUEST: return REPLY_HEAD;
    case SOCKS5_BOUND: return reply_len(socks->heard);
    case SOCKS5_OPEN:
    case SOCKS5_FAILED: break;
    }
    return 0;
}

size_t socks5_wanted(const struct socks5 *socks)
{
    return answer_len(socks) - socks->have;
}

static void on_method(struct socks5 *socks)
{
    bool has_user = socks->target.user.len > 0;
    if (socks->heard[0] != VERSION) {
        fail(socks, SOCKS5_BAD_VERSION);
    } else if (socks->heard[1] == METHOD_NONE) {
        enter(socks, SOCKS5_REQUEST);
    } else if (socks->heard[1] == METHOD_USER && has_user) {
        enter(socks, SOCKS5_AUTH);
    } else {
        fail(socks, SOCKS5_BAD_METHOD);
    }
}

static void on_auth(struct socks5 *socks)
{
    if (socks->heard[0] != AUTH_VERSION) {
        fail(socks, SOCKS5_BAD_VERSION);
    } else if (socks->heard[1] != 0) {
        fail(socks, SOCKS5_BAD_AUTH);
    } else {
        enter(socks, SOCKS5_REQUEST);
    }
}

static void on_reply(struct socks5 *socks)
{
    const uint8_t *head = socks->heard;
    bool is_known = head[3] == ADDRESS_IPV4 || head[3] == ADDRESS_IPV6 || head[3] == ADDRESS_NAME;
    if (head[0] != VERSION) {
        fail(socks, SOCKS5_BAD_VERSION);
    } else if (head[1] > REPLY_LAST) {
        fail(socks, SOCKS5_BAD_REPLY);
    } else if (head[1] != 0) {
        fail(socks, (enum socks5_error)(SOCKS5_BAD_REFUSED + head[1] - 1));
    } else if (!is_known) {
        fail(socks, SOCKS5_BAD_BOUND);
    } else {
        enter(socks, SOCKS5_BOUND);
    }
}

enum socks5_state socks5_hear(struct socks5 *socks, const char *at, size_t len)
{
    check(len <= socks5_wanted(socks));
    if (len > 0) {
        memcpy(socks->heard + socks->have, at, len);
    }
    socks->have += (uint16_t)len;
    if (socks5_wanted(socks) > 0) {
        return socks->state;
    }
    switch (socks->state) {
    case SOCKS5_GREETING: on_method(socks); break;
    case SOCKS5_AUTH: on_auth(socks); break;
    case SOCKS5_REQUEST: on_reply(socks); break;
    case SOCKS5_BOUND: enter(socks, SOCKS5_OPEN); break;
    case SOCKS5_OPEN:
    case SOCKS5_FAILED: break;
    }
    return socks->state;
}
