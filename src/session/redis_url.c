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
    uint32_t len;
    if (!text_percent_decode(text, false, kept, text.len + 1, &len)) {
        return NULL;
    }
    room->at += len + 1;
    return kept;
}

static bool take_scheme(struct slice *rest, bool *ret_is_tls)
{
    static const struct slice plain = {"redis://", 8}, tls = {"rediss://", 9};
    *ret_is_tls = slice_starts(*rest, tls);
    if (!*ret_is_tls && !slice_starts(*rest, plain)) {
        return false;
    }
    *rest = slice_sub(*rest, *ret_is_tls ? tls.len : plain.len, rest->len);
    return true;
}

/* The last "@" ends it: a host has none. */
static bool take_user(struct slice *rest, struct room *room, const char **ret_user,
                      const char **ret_password)
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
        *ret_user = put_decoded(room, slice_sub(info, 0, colon));
        if (*ret_user == NULL) {
            return false;
        }
    }
    *ret_password = put_decoded(room, slice_sub(info, colon + 1, info.len));
    return *ret_password != NULL && (*ret_password)[0] != '\0';
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

/* *port is as it was where none is said. */
static bool take_port(struct slice *rest, uint16_t *port)
{
    uint64_t number = *port;
    bool is_v6 = rest->len > 0 && rest->at[0] == '[';
    uint32_t end = is_v6 ? slice_find(*rest, ']') + 1 : slice_find(*rest, ':');
    if (end > rest->len) {
        return false;
    }
    struct slice text = slice_sub(*rest, end, rest->len);
    *rest = slice_sub(*rest, 0, end);
    if (text.len > 0
        && (text.at[0] != ':' || !text_parse_u64(slice_sub(text, 1, text.len), &number)
            || number == 0 || number > UINT16_MAX)) {
        return false;
    }
    *port = (uint16_t)number;
    if (is_v6) {
        *rest = slice_sub(*rest, 1, rest->len - 1);
    }
    return true;
}

static bool is_host(struct slice host)
{
    for (uint32_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.at[i];
        if (c <= ' ' || c >= 0x7f || strchr("/?#%[]@\\,", c) != NULL) {
            return false;
        }
    }
    return host.len > 0;
}

bool redis_url_parse(const char *text, struct redis_url *ret_url)
{
    struct slice rest = slice_of(text);
    struct room room = {ret_url->room};
    uint16_t said = 0;
    *ret_url = (struct redis_url){0};
    if (rest.len > REDIS_URL_MAX || !take_scheme(&rest, &ret_url->is_tls)
        || !take_user(&rest, &room, &ret_url->user, &ret_url->password)
        || !take_database(&rest, ret_url) || !take_port(&rest, &said) || !is_host(rest)) {
        return false;
    }
    ret_url->has_port = said != 0;
    ret_url->port = ret_url->has_port ? said : REDIS_PORT;
    ret_url->host = put(&room, rest);
    return true;
}

bool redis_hosts_url_parse(const char *text, uint16_t port, struct redis_hosts_url *ret_url)
{
    struct slice rest = slice_of(text), part;
    struct room room = {ret_url->room};
    *ret_url = (struct redis_hosts_url){0};
    if (rest.len > REDIS_URL_MAX || !take_scheme(&rest, &ret_url->is_tls)
        || !take_user(&rest, &room, &ret_url->user, &ret_url->password)) {
        return false;
    }
    bool is_fine = true;
    while (is_fine && slice_split(&rest, ',', &part)) {
        uint16_t said = port;
        is_fine = ret_url->count < REDIS_HOSTS_MAX && take_port(&part, &said) && is_host(part);
        if (is_fine) {
            ret_url->at[ret_url->count].host = put(&room, part);
            ret_url->at[ret_url->count].port = said;
            ret_url->count++;
        }
    }
    return is_fine;
}
