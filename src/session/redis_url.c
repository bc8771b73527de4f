/* SPDX-License-Identifier: Apache-2.0 */
#include "session/redis_url.h"

/* What was cut out so far ends with a NUL each. */
struct room {
    char *at;
};

static const char *put(struct room *room, struct slice text)
{
    char *kept = room->at;
    memcpy(kept, text.at, text.len);
    kept[text.len] = '\0';
    room->at += text.len + 1;
    return kept;
}

/* NULL: a "%" without two digits, or a NUL. */
static const char *put_decoded(struct room *room, struct slice text)
{
    char *kept = room->at;
    for (uint32_t i = 0; i < text.len; i++) {
        uint64_t byte = (unsigned char)text.at[i];
        if (byte == '%') {
            struct slice digits = slice_sub(text, i + 1, i + 3);
            if (digits.len != 2 || !text_parse_hex(digits, &byte)) {
                return NULL;
            }
            i += 2;
        }
        if (byte == 0) {
            return NULL;
        }
        *room->at++ = (char)byte;
    }
    *room->at++ = '\0';
    return kept;
}

static bool take_scheme(struct slice *rest, struct redis_url *url)
{
    static const struct slice plain = {"redis://", 8}, tls = {"rediss://", 9};
    url->is_tls = slice_starts(*rest, tls);
    if (!url->is_tls && !slice_starts(*rest, plain)) {
        return false;
    }
    *rest = slice_sub(*rest, url->is_tls ? tls.len : plain.len, rest->len);
    return true;
}

/* The last "@" ends it: a host has none. */
static bool take_user(struct slice *rest, struct redis_url *url, struct room *room)
{
    uint32_t at = rest->len;
    while (at > 0 && rest->at[at - 1] != '@') {
        at--;
    }
    if (at == 0) {
        return true;
    }
    struct slice info = slice_sub(*rest, 0, at - 1);
    *rest = slice_sub(*rest, at, rest->len);
    uint32_t colon = slice_find(info, ':');
    if (colon == info.len) {
        return false; /* a user without a password, or a password that looks like one */
    }
    if (colon > 0) {
        url->user = put_decoded(room, slice_sub(info, 0, colon));
        if (url->user == NULL) {
            return false;
        }
    }
    url->password = put_decoded(room, slice_sub(info, colon + 1, info.len));
    return url->password != NULL && url->password[0] != '\0';
}

static bool take_database(struct slice *rest, struct redis_url *url)
{
    uint32_t slash = slice_find(*rest, '/');
    uint64_t database = 0;
    struct slice text = slice_sub(*rest, slash + 1, rest->len);
    *rest = slice_sub(*rest, 0, slash);
    if (text.len > 0 && (!text_parse_u64(text, &database) || database > REDIS_DATABASE)) {
        return false;
    }
    url->database = (uint32_t)database;
    return true;
}

static bool take_port(struct slice *rest, struct redis_url *url)
{
    uint64_t port = REDIS_PORT;
    bool is_v6 = rest->len > 0 && rest->at[0] == '[';
    uint32_t end = is_v6 ? slice_find(*rest, ']') + 1 : slice_find(*rest, ':');
    if (end > rest->len) {
        return false;
    }
    struct slice text = slice_sub(*rest, end, rest->len);
    *rest = slice_sub(*rest, 0, end);
    if (text.len > 0
        && (text.at[0] != ':' || !text_parse_u64(slice_sub(text, 1, text.len), &port) || port == 0
            || port > UINT16_MAX)) {
        return false;
    }
    url->port = (uint16_t)port;
    if (is_v6) {
        *rest = slice_sub(*rest, 1, rest->len - 1);
    }
    return true;
}

static bool is_host(struct slice host)
{
    for (uint32_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.at[i];
        if (c <= ' ' || c >= 0x7f || strchr("/?#%[]@\\", c) != NULL) {
            return false;
        }
    }
    return host.len > 0;
}

bool redis_url_parse(const char *text, struct redis_url *ret_url)
{
    struct slice rest = slice_of(text);
    struct room room = {ret_url->room};
    *ret_url = (struct redis_url){0};
    if (rest.len > REDIS_URL_MAX || !take_scheme(&rest, ret_url)
        || !take_user(&rest, ret_url, &room) || !take_database(&rest, ret_url)
        || !take_port(&rest, ret_url) || !is_host(rest)) {
        return false;
    }
    ret_url->host = put(&room, rest);
    return true;
}
