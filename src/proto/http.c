/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http.h"

#include "base/check.h"
#include "proto/http_chars.h"

#include <endian.h>
#include <string.h>

#define BIT(id) (1ULL << (id))

_Static_assert(HTTP_FIELD_IDS <= 64, "struct http_head.present has 64 bits");

#define HOP_BY_HOP                                                                                 \
    (BIT(HTTP_CONNECTION) | BIT(HTTP_KEEP_ALIVE) | BIT(HTTP_PROXY_CONNECTION)                      \
     | BIT(HTTP_PROXY_AUTHENTICATE) | BIT(HTTP_PROXY_AUTHORIZATION) | BIT(HTTP_TE)                 \
     | BIT(HTTP_TRANSFER_ENCODING) | BIT(HTTP_UPGRADE) | BIT(HTTP_HTTP2_SETTINGS))

/* Framing and routing stand above what Connection says. */
#define NEVER_NAMED (BIT(HTTP_HOST) | BIT(HTTP_CONTENT_LENGTH))

struct known_field {
    char name[22]; /* lower case */
    uint8_t len;
    uint8_t id;
};

#define NO_PLACE 2 /* nobody's */

/* No two known names share a place under place_of(); a test walks all of them. */
static const struct known_field known_fields[64] = {
    [0] = {"x-api-key", 9, HTTP_X_API_KEY},
    [1] = {"retry-after", 11, HTTP_RETRY_AFTER},
    [3] = {"x-forwarded-proto", 17, HTTP_X_FORWARDED_PROTO},
    [6] = {"server", 6, HTTP_SERVER},
    [7] = {"content-encoding", 16, HTTP_CONTENT_ENCODING},
    [8] = {"host", 4, HTTP_HOST},
    [11] = {"forwarded", 9, HTTP_FORWARDED},
    [12] = {"user-agent", 10, HTTP_USER_AGENT},
    [16] = {"proxy-authenticate", 18, HTTP_PROXY_AUTHENTICATE},
    [17] = {"upgrade", 7, HTTP_UPGRADE},
    [18] = {"te", 2, HTTP_TE},
    [21] = {"http2-settings", 14, HTTP_HTTP2_SETTINGS},
    [24] = {"x-real-ip", 9, HTTP_X_REAL_IP},
    [25] = {"content-type", 12, HTTP_CONTENT_TYPE},
    [27] = {"proxy-authorization", 19, HTTP_PROXY_AUTHORIZATION},
    [30] = {"via", 3, HTTP_VIA},
    [34] = {"idempotency-key", 15, HTTP_IDEMPOTENCY_KEY},
    [35] = {"authorization", 13, HTTP_AUTHORIZATION},
    [36] = {"last-event-id", 13, HTTP_LAST_EVENT_ID},
    [37] = {"traceparent", 11, HTTP_TRACEPARENT},
    [38] = {"tracestate", 10, HTTP_TRACESTATE},
    [39] = {"cookie", 6, HTTP_COOKIE},
    [41] = {"trailer", 7, HTTP_TRAILER},
    [44] = {"x-forwarded-for", 15, HTTP_X_FORWARDED_FOR},
    [48] = {"content-length", 14, HTTP_CONTENT_LENGTH},
    [50] = {"proxy-connection", 16, HTTP_PROXY_CONNECTION},
    [51] = {"connection", 10, HTTP_CONNECTION},
    [52] = {"keep-alive", 10, HTTP_KEEP_ALIVE},
    [54] = {"date", 4, HTTP_DATE},
    [55] = {"x-forwarded-host", 16, HTTP_X_FORWARDED_HOST},
    [57] = {"transfer-encoding", 17, HTTP_TRANSFER_ENCODING},
    [59] = {"expect", 6, HTTP_EXPECT},
};

/* Where those are, by id. */
static const uint8_t places[HTTP_FIELD_IDS] = {
    [HTTP_FIELD_OTHER] = NO_PLACE,
    [HTTP_X_FORWARDED_MORE] = NO_PLACE,
    [HTTP_HOST] = 8,
    [HTTP_CONTENT_LENGTH] = 48,
    [HTTP_TRANSFER_ENCODING] = 57,
    [HTTP_CONNECTION] = 51,
    [HTTP_KEEP_ALIVE] = 52,
    [HTTP_PROXY_CONNECTION] = 50,
    [HTTP_PROXY_AUTHENTICATE] = 16,
    [HTTP_PROXY_AUTHORIZATION] = 27,
    [HTTP_TE] = 18,
    [HTTP_TRAILER] = 41,
    [HTTP_UPGRADE] = 17,
    [HTTP_HTTP2_SETTINGS] = 21,
    [HTTP_EXPECT] = 59,
    [HTTP_DATE] = 54,
    [HTTP_SERVER] = 6,
    [HTTP_VIA] = 30,
    [HTTP_FORWARDED] = 11,
    [HTTP_X_FORWARDED_FOR] = 44,
    [HTTP_X_FORWARDED_PROTO] = 3,
    [HTTP_X_FORWARDED_HOST] = 55,
    [HTTP_X_REAL_IP] = 24,
    [HTTP_AUTHORIZATION] = 35,
    [HTTP_X_API_KEY] = 0,
    [HTTP_COOKIE] = 39,
    [HTTP_CONTENT_TYPE] = 25,
    [HTTP_CONTENT_ENCODING] = 7,
    [HTTP_RETRY_AFTER] = 1,
    [HTTP_IDEMPOTENCY_KEY] = 34,
    [HTTP_TRACEPARENT] = 37,
    [HTTP_TRACESTATE] = 38,
    [HTTP_USER_AGENT] = 12,
    [HTTP_LAST_EVENT_ID] = 36,
};

/* Of the first eight bytes, folded; those behind a shorter name do not count. Multiplying mixes
 * them into the top bits, and this number so that known names do not meet. */
static inline unsigned place_of(uint64_t folded, uint32_t len)
{
    uint64_t its = len >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * len) - 1;
    return (unsigned)(((folded & its) + len) * UINT64_C(0x2d7a7b5b6e0f396d) >> 58);
}

static inline uint64_t eight_folded(const char *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return le64toh(x) | HTTP_EACH_BYTE(0x20);
}

static inline uint32_t four_folded(const char *at)
{
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x | 0x20202020U;
}

/* `lower` holds letters, digits and '-' only, and on these | 0x20 maps nothing else that a token
 * may contain. Loads overlap instead of running past the end. */
static bool same_folded(const char *name, const char *lower, uint32_t len)
{
    if (len >= 8) {
        for (uint32_t i = 0; i + 8 < len; i += 8) {
            if (eight_folded(name + i) != eight_folded(lower + i)) {
                return false;
            }
        }
        return eight_folded(name + len - 8) == eight_folded(lower + len - 8);
    }
    if (len >= 4) {
        return four_folded(name) == four_folded(lower)
               && four_folded(name + len - 4) == four_folded(lower + len - 4);
    }
    for (uint32_t i = 0; i < len; i++) {
        if (((uint8_t)name[i] | 0x20) != (uint8_t)lower[i]) {
            return false;
        }
    }
    return true;
}

/* Of a name that is not in the table. */
static inline enum http_field_id unknown_id(struct slice name)
{
    static const char prefix[] = "x-forwarded-";
    bool has_prefix = name.len >= sizeof prefix && eight_folded(name.at) == eight_folded(prefix)
                      && four_folded(name.at + 8) == four_folded(prefix + 8);
    return has_prefix ? HTTP_X_FORWARDED_MORE : HTTP_FIELD_OTHER;
}

enum http_field_id http_field_id_of(struct slice name)
{
    char first[8] = {0};
    if (name.len > 0) {
        memcpy(first, name.at, name.len < sizeof first ? name.len : sizeof first);
    }
    const struct known_field *known = &known_fields[place_of(eight_folded(first), name.len)];
    if (name.len == 0 || known->len != name.len || !same_folded(name.at, known->name, name.len)) {
        return unknown_id(name);
    }
    return (enum http_field_id)known->id;
}

struct slice http_field_name(enum http_field_id id)
{
    const struct known_field *known = &known_fields[places[id]];
    return (struct slice){known->name, known->len};
}

#if defined(__SSE2__)

static inline unsigned sixteen_differ(__m128i folded, const char *lower)
{
    return 0xffffU & ~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(folded, http_load(lower)));
}

static inline __m128i sixteen_folded(const char *at)
{
    return _mm_or_si128(http_load(at), _mm_set1_epi8(0x20));
}

enum http_field_id http_field_id_near(struct slice name, const char *end)
{
    if (end - name.at < 16) {
        return http_field_id_of(name);
    }
    __m128i folded = sixteen_folded(name.at);
    uint64_t first = (uint64_t)_mm_cvtsi128_si64(folded);
    const struct known_field *known = &known_fields[place_of(first, name.len)];
    if (known->len != name.len || name.len == 0) {
        return unknown_id(name);
    }
    unsigned differ = sixteen_differ(folded, known->name);
    if (name.len <= 16) {
        differ &= (1U << name.len) - 1;
    } else {
        differ |= sixteen_differ(sixteen_folded(name.at + name.len - 16),
                                 known->name + name.len - 16);
    }
    return differ == 0 ? (enum http_field_id)known->id : unknown_id(name);
}

#else

enum http_field_id http_field_id_near(struct slice name, const char *end)
{
    (void)end;
    return http_field_id_of(name);
}

#endif

static inline bool is_word(struct slice text, const char *word, size_t len)
{
    return memcmp(text.at, word, len) == 0;
}

enum http_method http_method_of(struct slice method)
{
    switch (method.len) {
    case 3:
        return is_word(method, "GET", 3)   ? HTTP_GET
               : is_word(method, "PUT", 3) ? HTTP_PUT
                                           : HTTP_METHOD_OTHER;
    case 4:
        return is_word(method, "POST", 4)   ? HTTP_POST
               : is_word(method, "HEAD", 4) ? HTTP_HEAD
                                            : HTTP_METHOD_OTHER;
    case 5:
        return is_word(method, "PATCH", 5)   ? HTTP_PATCH
               : is_word(method, "TRACE", 5) ? HTTP_TRACE
                                             : HTTP_METHOD_OTHER;
    case 6: return is_word(method, "DELETE", 6) ? HTTP_DELETE : HTTP_METHOD_OTHER;
    case 7:
        return is_word(method, "OPTIONS", 7)   ? HTTP_OPTIONS
               : is_word(method, "CONNECT", 7) ? HTTP_CONNECT
                                               : HTTP_METHOD_OTHER;
    default: return HTTP_METHOD_OTHER;
    }
}

const struct http_field *http_find(const struct http_head *head, enum http_field_id id)
{
    if (!http_has(head, id)) {
        return NULL;
    }
    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == id) {
            return &head->fields[i];
        }
    }
    return NULL;
}

bool http_name_valid(struct slice name)
{
    return name.len > 0 && http_skip_token(name.at, name.at + name.len) == name.at + name.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool http_value_valid(struct slice value)
{
    if (value.len == 0) {
        return true;
    }
    return !is_blank(value.at[0]) && !is_blank(value.at[value.len - 1])
           && http_skip_value(value.at, value.at + value.len) == value.at + value.len;
}

/* "[" … "]": hex digits, colons and the dots of an embedded IPv4 address; no zone. */
static const char *skip_ip_literal(const char *at, const char *end)
{
    const char *start = ++at;
    while (at < end
           && (text_is_digit(*at) || *at == ':' || *at == '.'
               || (text_lower(*at) >= 'a' && text_lower(*at) <= 'f'))) {
        at++;
    }
    bool closed = at < end && *at == ']' && at - start >= 2 && at - start <= 45;
    return closed ? at + 1 : NULL;
}

static bool port_valid(const char *at, const char *end)
{
    uint32_t port = 0;
    if (at == end || end - at > 5) {
        return false;
    }
    for (; at < end; at++) {
        if (!text_is_digit(*at)) {
            return false;
        }
        port = port * 10 + (uint32_t)(*at - '0');
    }
    return port <= 65535;
}

bool http_authority_valid_near(struct slice authority, const char *start, const char *limit)
{
    if (authority.len == 0) {
        return false;
    }
    const char *at = authority.at;
    const char *end = at + authority.len;
    const char *stop = *at == '[' ? skip_ip_literal(at, end) : http_skip_host_in(start, at, limit);
    if (stop == NULL || stop == at || stop > end || stop - at > 255) {
        return false;
    }
    return stop == end || (*stop == ':' && port_valid(stop + 1, end));
}

bool http_authority_valid(struct slice authority)
{
    return http_authority_valid_near(authority, authority.at, authority.at + authority.len);
}

/* --- path ------------------------------------------------------------------------------------ */

/* Nothing in it that the careful walk would have to look at: no escape, no backslash, no dot behind
 * a slash. True for nearly every path there is. Bytes before `limit` may be read. */
static bool path_is_plain(struct slice path, const char *limit)
{
    const char *at = path.at;
    const char *end = at + path.len;
    char before = 0;
#if defined(__SSE2__)
    unsigned carry = 0; /* the byte before this block was a slash */
    for (; at < end && limit - at >= 16; at += 16) {
        unsigned its = end - at >= 16 ? 0xffffU : (1U << (end - at)) - 1;
        __m128i x = http_load(at);
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('%')),
                                   _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
        unsigned odds = (unsigned)_mm_movemask_epi8(odd);
        unsigned dots = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('.')));
        unsigned slashes = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('/')));
        if (((odds | (dots & (slashes << 1 | carry))) & its) != 0) {
            return false;
        }
        carry = slashes >> 15;
    }
    before = carry != 0 ? '/' : 0;
#endif
    (void)limit;
    for (; at < end; before = *at++) {
        if (*at == '%' || *at == '\\' || (*at == '.' && before == '/')) {
            return false;
        }
    }
    return true;
}

static int hex_of(char c)
{
    if (text_is_digit(c)) {
        return c - '0';
    }
    char lower = text_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that *at stands for once escapes are undone; -1: a "%" that is none. */
static int next_unescaped(const char **at, const char *end)
{
    if (**at != '%') {
        return (uint8_t) * (*at)++;
    }
    if (end - *at < 3 || hex_of((*at)[1]) < 0 || hex_of((*at)[2]) < 0) {
        return -1;
    }
    int byte = hex_of((*at)[1]) * 16 + hex_of((*at)[2]);
    *at += 3;
    return byte;
}

static bool path_walk(const char *at, const char *end)
{
    const unsigned not_dots = 3; /* more dots than a dot segment has, or other bytes */
    unsigned dots = 0;           /* that the segment consists of, so far */
    while (at < end && *at != '?') {
        int byte = next_unescaped(&at, end);
        if (byte <= 0) {
            return false;
        }
        bool ends = byte == '/' || byte == '\\' || byte == ';';
        if (ends && (dots == 1 || dots == 2)) {
            return false;
        }
        if (byte == '/' || byte == '\\') {
            dots = 0;
        } else {
            dots = byte == '.' && dots < not_dots ? dots + 1 : not_dots;
        }
    }
    return dots == 0 || dots == not_dots;
}

bool http_path_check_near(struct slice path, const char *end)
{
    return path_is_plain(path, end) || path_walk(path.at, path.at + path.len);
}

bool http_path_check(struct slice path)
{
    return http_path_check_near(path, path.at + path.len);
}

/* --- hop by hop ------------------------------------------------------------------------------ */

static unsigned connection_word(struct slice word)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"keep-alive", HTTP_CONNECTION_KEEP_ALIVE},
        {"close", HTTP_CONNECTION_CLOSE},
        {"upgrade", HTTP_CONNECTION_UPGRADE},
    };
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_is_nocase(word, words[i].word)) {
            return words[i].bit;
        }
    }
    return 0;
}

static void drop_named(struct http_head *head, struct slice name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];
        if (!(NEVER_NAMED >> field->id & 1) && slice_same_nocase(field->name, name)) {
            field->drop = 1;
        }
    }
}

static bool drop_all_named(struct http_head *head, struct slice list, unsigned *left,
                           unsigned *words)
{
    struct slice part;
    while (slice_split(&list, ',', &part)) {
        struct slice word = slice_trim(part);
        if (word.len == 0) {
            continue;
        }
        if ((*left)-- == 0) {
            return false;
        }
        unsigned bit = connection_word(word);
        *words |= bit;
        if (bit == 0) {
            drop_named(head, word);
        }
    }
    return true;
}

bool http_drop_hop_by_hop(struct http_head *head, unsigned named_max, unsigned *ret_words)
{
    unsigned left = named_max;
    unsigned words = 0;
    for (unsigned i = 0; (head->present & HOP_BY_HOP) != 0 && i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];
        if (!(HOP_BY_HOP >> field->id & 1)) {
            continue;
        }
        field->drop = 1;
        if (field->id == HTTP_CONNECTION && !drop_all_named(head, field->value, &left, &words)) {
            return false;
        }
    }
    *ret_words = words;
    return true;
}

/* --- trailers, reasons ----------------------------------------------------------------------- */

bool http_trailer_allowed(struct slice name)
{
    /* Known fields that say something about a whole message after its fact are few; the rest of
     * the known ones frame, route, authenticate or describe the hop. */
    static const uint64_t harmless = BIT(HTTP_FIELD_OTHER) | BIT(HTTP_SERVER) | BIT(HTTP_TRACESTATE)
                                     | BIT(HTTP_TRACEPARENT) | BIT(HTTP_LAST_EVENT_ID);
    static const char *const refused[] = {
        "accept",
        "accept-encoding",
        "accept-language",
        "age",
        "allow",
        "authentication-info",
        "cache-control",
        "content-range",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authentication-info",
        "proxy-status",
        "range",
        "set-cookie",
        "vary",
        "warning",
        "www-authenticate",
        "x-forwarded-port",
        "x-http-method-override",
    };
    if (!(harmless >> http_field_id_of(name) & 1)) {
        return false;
    }
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (slice_is_nocase(name, refused[i])) {
            return false;
        }
    }
    return true;
}

struct slice http_reason_of(unsigned status)
{
    static const struct {
        uint16_t status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {102, "Processing"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return slice_of(reasons[i].reason);
        }
    }
    return SLICE("Unknown");
}
