/* SPDX-License-Identifier: Apache-2.0
 *
 * tunnel.c - says what is due, hears what is wanted, in turn; a few hundred bytes in all.
 */
#include "connector/tunnel.h"

#include "base/check.h"

#include <errno.h>
#include <string.h>

#define HEAR_BYTES 512U

/* --- a proxy's URL --------------------------------------------------------------------------- */

static bool take_scheme(struct slice *rest, struct proxy *ret)
{
    static const struct {
        struct slice prefix;
        enum proxy_kind kind;
        uint16_t port;
    } schemes[] = {
        {SLICE("socks5://"), PROXY_SOCKS5, 1080},
        {SLICE("socks5h://"), PROXY_SOCKS5, 1080},
        {SLICE("http://"), PROXY_HTTP, 80},
        {SLICE("https://"), PROXY_HTTPS, 443},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct slice prefix = schemes[i].prefix;
        if (rest->len > prefix.len
            && slice_same_nocase((struct slice){rest->at, prefix.len}, prefix)) {
            ret->kind = schemes[i].kind;
            ret->port = schemes[i].port;
            *rest = (struct slice){rest->at + prefix.len, rest->len - prefix.len};
            return true;
        }
    }
    return false;
}

/* Copies with %xx decoded, ends with NUL. False: a "%" without two digits, a control byte. */
static bool put_decoded(struct proxy *proxy, size_t *at, struct slice text, struct slice *ret)
{
    ret->at = proxy->text + *at;
    if (!text_percent_decode(text, false, proxy->text + *at, text.len + 1, &ret->len)) {
        return false;
    }
    for (uint32_t i = 0; i < ret->len; i++) {
        if ((uint8_t)ret->at[i] < 0x20 || ret->at[i] == 0x7f) {
            return false;
        }
    }
    *at += ret->len + 1;
    return true;
}

/* The part before the last "@" is user and password: a password may hold one. */
static bool take_userinfo(struct slice *rest, struct proxy *proxy, size_t *at)
{
    uint32_t end = rest->len;
    while (end > 0 && rest->at[end - 1] != '@') {
        end--;
    }
    if (end == 0) {
        return true;
    }
    struct slice userinfo = {rest->at, end - 1};
    struct slice user;
    *rest = (struct slice){rest->at + end, rest->len - end};
    slice_split(&userinfo, ':', &user);
    struct slice password = userinfo.at != NULL ? userinfo : SLICE("");
    return user.len > 0 && put_decoded(proxy, at, user, &proxy->user)
           && put_decoded(proxy, at, password, &proxy->password);
}

static bool take_port(struct slice text, uint16_t *ret)
{
    uint64_t port;
    if (!text_parse_u64(text, &port) || port == 0 || port > UINT16_MAX) {
        return false;
    }
    *ret = (uint16_t)port;
    return true;
}

static bool take_host(struct slice rest, struct proxy *proxy, size_t *at)
{
    struct slice host = rest;
    struct slice after;
    if (rest.len > 0 && rest.at[0] == '[') {
        uint32_t close = slice_find(rest, ']');
        if (close == rest.len) {
            return false;
        }
        host = (struct slice){rest.at + 1, close - 1};
        after = (struct slice){rest.at + close + 1, rest.len - close - 1};
    } else {
        uint32_t colon = slice_find(rest, ':');
        host.len = colon;
        after = (struct slice){rest.at + colon, rest.len - colon};
    }
    if (after.len > 0
        && (after.at[0] != ':'
            || !take_port((struct slice){after.at + 1, after.len - 1}, &proxy->port))) {
        return false;
    }
    return host.len > 0 && host.len <= SOCKS5_TEXT_MAX && slice_find(host, '%') == host.len
           && put_decoded(proxy, at, host, &proxy->host);
}

bool proxy_is_https(struct slice url)
{
    struct proxy proxy;
    return take_scheme(&url, &proxy) && proxy.kind == PROXY_HTTPS;
}

bool proxy_parse(struct slice url, struct proxy *ret)
{
    *ret = (struct proxy){.kind = PROXY_SOCKS5};
    size_t at = 0;
    if (url.len + 3 > PROXY_TEXT_MAX || !take_scheme(&url, ret)) {
        return false;
    }
    if (url.len > 0 && url.at[url.len - 1] == '/') {
        url.len--;
    }
    return slice_find(url, '/') == url.len && take_userinfo(&url, ret, &at)
           && take_host(url, ret, &at) && ret->user.len <= SOCKS5_TEXT_MAX
           && ret->password.len <= SOCKS5_TEXT_MAX;
}

/* --- the handshake --------------------------------------------------------------------------- */

static void end(struct tunnel *tunnel, const char *error)
{
    struct stream *stream = tunnel->stream;
    tunnel->stream = NULL;
    stream_want(stream, 0);
    stream->on_ready = NULL;
    stream->owner = NULL;
    tunnel->done(tunnel->self, stream, error);
}

static void say(struct tunnel *tunnel)
{
    if (tunnel->is_socks5 && tunnel->said_from == tunnel->said_to) {
        tunnel->said_from = 0;
        tunnel->said_to = (uint16_t)socks5_say(&tunnel->socks5, tunnel->said);
    }
}

/* False: the stream is broken. */
static bool send_said(struct tunnel *tunnel)
{
    while (tunnel->said_from < tunnel->said_to) {
        struct iovec part = {tunnel->said + tunnel->said_from,
                             (size_t)(tunnel->said_to - tunnel->said_from)};
        ssize_t sent = stream_writev(tunnel->stream, &part, 1);
        if (sent < 0) {
            return sent == -EAGAIN;
        }
        tunnel->said_from += (uint16_t)sent;
    }
    return true;
}

static size_t wanted(const struct tunnel *tunnel)
{
    return tunnel->is_socks5 ? socks5_wanted(&tunnel->socks5) : connect_wanted(&tunnel->connect);
}

static void hear(struct tunnel *tunnel, const char *at, size_t len)
{
    if (tunnel->is_socks5) {
        socks5_hear(&tunnel->socks5, at, len);
    } else {
        connect_hear(&tunnel->connect, at, len);
    }
}

static const char *error_of(const struct tunnel *tunnel)
{
    if (tunnel->is_socks5) {
        return tunnel->socks5.state == SOCKS5_FAILED ? socks5_error_text(tunnel->socks5.error)
                                                     : NULL;
    }
    return tunnel->connect.state == CONNECT_FAILED ? connect_error_text(tunnel->connect.error)
                                                   : NULL;
}

/* Hears until the proxy is silent or has said all. NULL, or what broke. */
static const char *hear_all(struct tunnel *tunnel)
{
    char buf[HEAR_BYTES];
    size_t cap;
    while ((cap = wanted(tunnel)) > 0) {
        say(tunnel);
        if (!send_said(tunnel)) {
            return "the proxy hung up";
        }
        ssize_t got = stream_read(tunnel->stream, buf, cap < sizeof buf ? cap : sizeof buf);
        if (got == -EAGAIN) {
            return NULL;
        }
        if (got <= 0) {
            return "the proxy hung up";
        }
        hear(tunnel, buf, (size_t)got);
    }
    return error_of(tunnel);
}

static void on_ready(struct stream *stream, unsigned events)
{
    struct tunnel *tunnel = stream->owner;
    (void)events;
    const char *error = hear_all(tunnel);
    if (error != NULL || wanted(tunnel) == 0) {
        end(tunnel, error);
        return;
    }
    stream_want(stream, STREAM_READ | (tunnel->said_from < tunnel->said_to ? STREAM_WRITE : 0U));
}

bool tunnel_begin(struct tunnel *tunnel, const struct proxy *proxy, struct slice host,
                  uint16_t port, struct stream *stream)
{
    tunnel->is_socks5 = proxy->kind == PROXY_SOCKS5;
    tunnel->said_from = tunnel->said_to = 0;
    if (tunnel->is_socks5) {
        const struct socks5_target target = {
            .host = host, .port = port, .user = proxy->user, .password = proxy->password};
        if (!socks5_begin(&tunnel->socks5, &target)) {
            return false;
        }
    } else {
        const struct connect_target target = {
            .host = host, .port = port, .user = proxy->user, .password = proxy->password};
        tunnel->connect = (struct connect){.state = CONNECT_WAITING};
        tunnel->said_to = (uint16_t)connect_say(&target, tunnel->said);
        if (tunnel->said_to == 0) {
            return false;
        }
    }
    tunnel->stream = stream;
    stream->owner = tunnel;
    stream->on_ready = on_ready;
    stream_want(stream, STREAM_READ | STREAM_WRITE);
    return true;
}
