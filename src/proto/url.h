/* SPDX-License-Identifier: Apache-2.0
 *
 * url.h - absolute URLs of http and https (RFC 3986, RFC 9110 §4.2), and references to be resolved
 * against one.
 *
 * A parsed URL is canonical text: scheme and host in lower case, a port only where it is not the
 * scheme's, a path that begins with "/", no fragment. Bytes that no URL may hold are refused, but
 * for spaces and bytes above 0x7e in path and query, which are escaped: a server's Location often
 * has them. User and password are refused, and so is what http_path_check() refuses: a path that
 * passes is sent as it is.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_BYTES_MAX 16384U /* canonical */

enum url_scheme { URL_HTTP, URL_HTTPS };

/* The slices point into `text`, which is whoever's buffer it was written to. */
struct url {
    struct slice text;
    struct slice authority; /* "host", "host:8080", "[::1]:8080" */
    struct slice host;      /* without brackets */
    struct slice path;      /* with the query; never empty */
    uint16_t port;
    uint8_t scheme; /* enum url_scheme */
};

/* How much room url_parse() and url_resolve() need at most. */
size_t url_room(struct slice text);

/* False: it is no such URL, or too long. `buf` has url_room(text) bytes. */
bool url_parse(struct slice text, char *buf, struct url *ret_url);

/* What a reference means on the page at `base` (RFC 3986 §5.2): "//h/p", "/p", "p", "?q", "../p".
 * `buf` has url_room(base->text) + url_room(reference) bytes. */
bool url_resolve(const struct url *base, struct slice reference, char *buf, struct url *ret_url);

/* Scheme, host and port are the same (RFC 6454 §5). */
bool url_same_origin(const struct url *a, const struct url *b);
