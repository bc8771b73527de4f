/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/url.h"

#include "proto/http.h"
#include "proto/http_chars.h"

#define SCHEMES 2

static const struct {
    struct slice prefix; /* with "://" */
    uint16_t port;
} schemes[SCHEMES] = {
    [URL_HTTP] = {SLICE("http://"), 80},
    [URL_HTTPS] = {SLICE("https://"), 443},
};

size_t url_room(struct slice text)
{
    return (size_t)text.len * 3 + 16; /* every byte escaped; a "/" and a bit */
}

static struct slice rest_of(struct slice text, uint32_t from)
{
    return slice_sub(text, from, text.len);
}

/* --- writing ------------------------------------------------------------------------------------
 */

static char *put(char *to, struct slice text)
{
    memcpy(to, text.at, text.len);
    return to + text.len;
}

/* Path or query, escaped where needed. NULL: a byte that cannot be. */
static char *put_target(char *to, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (uint32_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.at[i];
        if (http_char_is((char)c, HTTP_CHAR_TARGET) && c < 0x80) {
            *to++ = (char)c;
        } else if (c == ' ' || c >= 0x80) {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        } else {
            return NULL;
        }
    }
    return to;
}

/* --- the parts of a URL -------------------------------------------------------------------------
 */

static bool scheme_of(struct slice text, uint8_t *ret_scheme, struct slice *ret_rest)
{
    for (uint8_t i = 0; i < SCHEMES; i++) {
        struct slice prefix = schemes[i].prefix;
        if (text.len >= prefix.len && slice_same_nocase(slice_sub(text, 0, prefix.len), prefix)) {
            *ret_scheme = i;
            *ret_rest = rest_of(text, prefix.len);
            return true;
        }
    }
    return false;
}

/* Up to the first of these. */
static struct slice until(struct slice text, const char *ends)
{
    uint32_t i = 0;
    while (i < text.len && text.at[i] != '\0' && strchr(ends, text.at[i]) == NULL) {
        i++;
    }
    return slice_sub(text, 0, i);
}

static bool split_authority(struct slice authority, struct slice *ret_host, struct slice *ret_port)
{
    bool is_literal = authority.len > 0 && authority.at[0] == '[';
    uint32_t end = is_literal ? slice_find(authority, ']') : slice_find(authority, ':');
    if (is_literal && end == authority.len) {
        return false;
    }
    *ret_host = is_literal ? slice_sub(authority, 1, end) : slice_sub(authority, 0, end);
    struct slice behind = rest_of(authority, is_literal ? end + 1 : end);
    *ret_port = behind.len > 0 ? rest_of(behind, 1) : behind;
    return ret_host->len > 0 && (behind.len == 0 || behind.at[0] == ':');
}

static bool port_of(struct slice text, uint16_t otherwise, uint16_t *ret_port)
{
    uint64_t port = otherwise;
    if (text.len > 0 && (!text_parse_u64(text, &port) || port == 0 || port > UINT16_MAX)) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static char *put_number(char *to, unsigned number)
{
    char digits[8];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}

/* Scheme and authority, canonical, from `to` on, which becomes the end. */
static bool put_origin(char **to, uint8_t scheme, struct slice authority, struct url *url)
{
    struct slice host, port;
    if (!http_authority_valid(authority) || !split_authority(authority, &host, &port)
        || !port_of(port, schemes[scheme].port, &url->port)) {
        return false;
    }
    url->scheme = scheme;
    char *at = put(*to, schemes[scheme].prefix);
    url->authority.at = at;
    bool is_literal = authority.at[0] == '[';
    if (is_literal) {
        *at++ = '[';
    }
    url->host = (struct slice){at, host.len};
    for (uint32_t i = 0; i < host.len; i++) {
        *at++ = text_lower(host.at[i]);
    }
    if (is_literal) {
        *at++ = ']';
    }
    if (url->port != schemes[scheme].port) {
        *at++ = ':';
        at = put_number(at, url->port);
    }
    url->authority.len = (uint32_t)(at - url->authority.at);
    *to = at;
    return true;
}

/* The path that has been written behind the origin, up to `end`, is all of it. */
static bool finish(const char *buf, const char *path, const char *end, struct url *url)
{
    url->path = (struct slice){path, (uint32_t)(end - path)};
    url->text = (struct slice){buf, (uint32_t)(end - buf)};
    return url->text.len <= URL_BYTES_MAX
           && http_path_check(slice_sub(url->path, 0, slice_find(url->path, '?')));
}

bool url_parse(struct slice text, char *buf, struct url *ret_url)
{
    struct slice rest;
    struct url url;
    uint8_t scheme;
    if (text.len > URL_BYTES_MAX || !scheme_of(text, &scheme, &rest)) {
        return false;
    }
    struct slice authority = until(rest, "/?#");
    char *to = buf;
    if (!put_origin(&to, scheme, authority, &url)) {
        return false;
    }
    rest = until(rest_of(rest, authority.len), "#");
    const char *path = to;
    if (rest.len == 0 || rest.at[0] != '/') {
        *to++ = '/';
    }
    to = put_target(to, rest);
    if (to == NULL || !finish(buf, path, to, &url)) {
        return false;
    }
    *ret_url = url;
    return true;
}

/* --- references ---------------------------------------------------------------------------------
 */

/* Goes back to behind the "/" before the last segment. */
static char *drop_segment(const char *path, char *to)
{
    if (to > path + 1) {
        to--; /* the slash that ends it */
        while (to > path && to[-1] != '/') {
            to--;
        }
    }
    return to;
}

/* Appends a path's segments to what lies from `path` to `to` (which ends with a slash), obeying "."
 * and ".." (RFC 3986 §5.2.4). */
static char *put_segments(char *path, char *to, struct slice text)
{
    struct slice part;
    while (slice_split(&text, '/', &part)) {
        bool is_last = text.at == NULL;
        if (slice_is(part, "..")) {
            to = drop_segment(path, to);
        } else if (!slice_is(part, ".")) {
            to = put_target(to, part);
            if (to == NULL) {
                return NULL;
            }
            if (!is_last) {
                *to++ = '/';
            }
        }
    }
    return to;
}

/* A reference without scheme and authority: the path it stands for, merged with the base's. */
static char *put_merged(char *to, const struct url *base, struct slice reference)
{
    struct slice path = until(reference, "?");
    struct slice query = rest_of(reference, path.len);
    uint32_t base_path = slice_find(base->path, '?');
    char *begin = to;
    if (path.len == 0) {
        struct slice kept = query.len > 0 ? slice_sub(base->path, 0, base_path) : base->path;
        return put_target(put(to, kept), query);
    }
    *to++ = '/';
    if (path.at[0] == '/') {
        path = rest_of(path, 1);
    } else {
        uint32_t slash = base_path;
        while (slash > 1 && base->path.at[slash - 1] != '/') {
            slash--;
        }
        to = put(to, slice_sub(base->path, 1, slash));
    }
    to = put_segments(begin, to, path);
    return to != NULL ? put_target(to, query) : NULL;
}

static bool has_scheme(struct slice reference)
{
    struct slice head = until(reference, "/?#:");
    return head.len > 0 && head.len < reference.len && reference.at[head.len] == ':';
}

bool url_resolve(const struct url *base, struct slice reference, char *buf, struct url *ret_url)
{
    struct url url;
    char *to = buf;
    reference = until(slice_trim(reference), "#");
    if (reference.len > URL_BYTES_MAX) {
        return false;
    }
    if (has_scheme(reference)) {
        return url_parse(reference, buf, ret_url);
    }
    uint8_t scheme = base->scheme;
    struct slice authority = base->authority;
    bool has_authority = slice_starts(reference, SLICE("//"));
    if (has_authority) {
        authority = until(rest_of(reference, 2), "/?");
        reference = rest_of(reference, 2 + authority.len);
    }
    if (!put_origin(&to, scheme, authority, &url)) {
        return false;
    }
    const struct url root = {.path = SLICE("/")};
    char *path = to;
    to = put_merged(to, has_authority ? &root : base, reference);
    if (to == NULL || !finish(buf, path, to, &url)) {
        return false;
    }
    *ret_url = url;
    return true;
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->scheme == b->scheme && a->port == b->port && slice_same(a->host, b->host);
}
