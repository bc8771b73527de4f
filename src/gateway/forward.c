/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/forward.h"

#include "base/check.h"
#include "io/address.h"

#define BIT(id) (UINT64_C(1) << (id))
#define ORIGIN_IDS                                                                                 \
    (BIT(HTTP_FORWARDED) | BIT(HTTP_X_FORWARDED_FOR) | BIT(HTTP_X_FORWARDED_PROTO)                 \
     | BIT(HTTP_X_FORWARDED_HOST) | BIT(HTTP_X_FORWARDED_MORE) | BIT(HTTP_X_REAL_IP))

/* RFC 9110 §7.6.3: the version in which the message came to us. */
static const char via_line[] = "Via: 1.1 weir\r\n";
static const char via2_line[] = "Via: 2 weir\r\n";
static const struct http_field via = {.name = {via_line, 3},
                                      .value = {via_line + 5, 8},
                                      .id = HTTP_VIA,
                                      .wire = true};
static const struct http_field via2 = {.name = {via2_line, 3},
                                       .value = {via2_line + 5, 6},
                                       .id = HTTP_VIA,
                                       .wire = true};
static const struct slice proto_plain = {"http", 4}, proto_tls = {"https", 5};

static void apply_route(const struct forward_rules *rules, struct http_field *added,
                        struct http_head *head);
static void drop_named(struct http_head *head, struct http_field *added, struct slice name);
static struct slice chain_of(const struct http_head *head, enum http_field_id id, struct slice last,
                             char room[FORWARD_CHAIN_MAX]);
static struct slice forwarded_of(const struct http_peer *peer, char room[96]);
static bool trace_is_valid(struct slice value);
static const struct http_field *trace_that_came(const struct http_head *head);
static bool trace_is_kept(struct http_head *head);
static void print_hex(char *out, uint64_t bits);
static void trace_prepare(struct forward *forward);
static void trace_start(struct forward *forward, char *value);

void forward_rules_init(struct forward_rules *rules, const struct config_route *route)
{
    *rules = (struct forward_rules){.policy = route->forwarded, .route = route};
    for (uint32_t i = 0; i < route->request_headers.set.count; i++) {
        const struct config_field *set = &route->request_headers.set.at[i];
        struct slice name = slice_of(set->name), value = slice_of(set->value);
        enum http_field_id id = http_field_id_of(name);
        if (id == HTTP_HOST) {
            rules->host = value;
        } else if (rules->set_count < FORWARD_SET_MAX) {
            rules->set[rules->set_count++] =
                (struct http_field){.name = name, .value = value, .id = (uint8_t)id};
        }
    }
}

void forward_init(struct forward *forward, uint64_t seed)
{
    rand_init(&forward->rand, seed);
    trace_prepare(forward);
}

/* Adds a field. `name` is a literal that ends in ": ". Returns its value where it lies now. */
#define add(forward, head, name, value, id)                                                        \
    add_line((forward), (head), (name), sizeof(name) - 1, (value), (id))

static inline char *add_line(struct forward *forward, struct http_head *head, const char *name,
                             uint32_t name_len, struct slice value, enum http_field_id id)
{
    struct http_field *field = &forward->added[head->added_count++];
    *field = (struct http_field){.name = {name, name_len - 2}, .value = value, .id = (uint8_t)id};
    if (value.len > FORWARD_VALUE_MAX) {
        return NULL;
    }
    char *line = forward->end;
    char *copy = line + name_len;
    memcpy(line, name, name_len);
    memcpy(copy, value.at, value.len);
    memcpy(copy + value.len, "\r\n", 2);
    field->name.at = line;
    field->value.at = copy;
    field->wire = true;
    forward->end = copy + value.len + 2;
    return copy;
}

void forward_request(struct forward *forward, const struct forward_rules *rules,
                     const struct http_peer *peer, bool trusted, struct http_head *head)
{
    struct http_field *room = forward->added;
    struct slice client = {peer->text, peer->text_len};
    bool append = rules->policy == FORWARDED_APPEND && trusted;
    uint64_t came = head->present;
    head->added = room;
    head->added_count = 0;
    forward->end = forward->lines;
    forward->trace_begun = 0;
    if (append) {
        char own[96];
        struct slice chain = chain_of(head, HTTP_X_FORWARDED_FOR, client, forward->chain[0]);
        if ((came & BIT(HTTP_FORWARDED)) != 0) {
            struct slice last = forwarded_of(peer, own);
            add(forward, head,
                "Forwarded: ", chain_of(head, HTTP_FORWARDED, last, forward->chain[1]),
                HTTP_FORWARDED);
        }
        forward_hide(head, BIT(HTTP_X_FORWARDED_FOR) | BIT(HTTP_FORWARDED));
        add(forward, head, "X-Forwarded-For: ", chain, HTTP_X_FORWARDED_FOR);
    } else if ((came & ORIGIN_IDS) != 0) {
        forward_hide(head, ORIGIN_IDS);
        came &= ~ORIGIN_IDS;
    }
    if (rules->policy != FORWARDED_OFF) {
        if (!append) {
            add(forward, head, "X-Forwarded-For: ", client, HTTP_X_FORWARDED_FOR);
        }
        if ((came & BIT(HTTP_X_FORWARDED_PROTO)) == 0) {
            add(forward, head, "X-Forwarded-Proto: ", peer->tls ? proto_tls : proto_plain,
                HTTP_X_FORWARDED_PROTO);
        }
        if ((came & BIT(HTTP_X_FORWARDED_HOST)) == 0 && head->authority.len > 0) {
            add(forward, head, "X-Forwarded-Host: ", head->authority, HTTP_X_FORWARDED_HOST);
        }
        add(forward, head, "Via: ", head->is_http2 ? via2.value : via.value, HTTP_VIA);
    }
    if ((came & BIT(HTTP_TRACEPARENT)) == 0 || !trace_is_kept(head)) {
        struct slice trace = {forward->trace, FORWARD_TRACE_BYTES};
        trace_start(forward, add(forward, head, "traceparent: ", trace, HTTP_TRACEPARENT));
    }
    apply_route(rules, room, head);
}

void forward_sign(struct forward *forward, const struct http_field *fields, uint32_t count,
                  struct http_head *head)
{
    forward_hide(head, BIT(HTTP_AUTHORIZATION) | BIT(HTTP_X_API_KEY));
    check(head->added_count + count <= FORWARD_ADDED_MAX);
    for (uint32_t i = 0; i < count; i++) {
        drop_named(head, forward->added, fields[i].name);
        forward->added[head->added_count++] = fields[i];
    }
}

void forward_continued(struct http_head *head)
{
    forward_hide(head, BIT(HTTP_EXPECT));
    head->expect_continue = false;
}

void forward_answer(const struct forward_rules *rules, struct http_head *head)
{
    if (rules->policy != FORWARDED_OFF) {
        head->added = head->is_http2 ? &via2 : &via;
        head->added_count = 1;
    }
}

void forward_upgrade(struct forward *forward, struct slice key, struct http_head *head)
{
    check(head->added_count + 2U <= FORWARD_ADDED_MAX);
    forward->added[head->added_count++] = (struct http_field){
        .name = SLICE("Upgrade"), .value = SLICE("websocket"), .id = HTTP_UPGRADE};
    forward->added[head->added_count++] = (struct http_field){.name = SLICE("Sec-WebSocket-Key"),
                                                              .value = key};
}

bool forward_trusts(const struct config_listener *listener, const uint8_t address[16])
{
    for (uint32_t i = 0; i < listener->trusted_proxies.count; i++) {
        const struct config_cidr *range = &listener->trusted_proxies.at[i];
        unsigned whole = range->bits / 8, rest = range->bits % 8;
        if (memcmp(range->address, address, whole) == 0
            && (rest == 0 || ((range->address[whole] ^ address[whole]) >> (8 - rest)) == 0)) {
            return true;
        }
    }
    return false;
}

/* "192.0.2.7", "192.0.2.7:80", "2001:db8::7", "[2001:db8::7]:80", each perhaps in quotes. */
static bool read_address(struct slice text, uint8_t ret_address[16])
{
    char host[64];
    struct ip ip;
    text = slice_trim(text);
    if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"') {
        text = slice_sub(text, 1, text.len - 1);
    }
    uint32_t colon = slice_find(text, ':');
    if (text.len > 0 && text.at[0] == '[') {
        text = slice_sub(text, 1, slice_find(text, ']'));
    } else if (slice_find(slice_sub(text, colon + 1, text.len), ':') == text.len - colon - 1) {
        text = slice_sub(text, 0, colon); /* one colon at most: what follows is a port */
    }
    if (text.len >= sizeof host) {
        return false;
    }
    slice_copy(host, sizeof host, text);
    if (!ip_parse(host, &ip)) {
        return false;
    }
    ip_map(&ip, ret_address);
    return true;
}

/* The `for` of an element of Forwarded (RFC 7239 §4). */
static struct slice for_of(struct slice element)
{
    struct slice pair;
    while (slice_split(&element, ';', &pair)) {
        pair = slice_trim(pair);
        if (slice_same_nocase(slice_sub(pair, 0, 4), SLICE("for="))) {
            return slice_sub(pair, 4, pair.len);
        }
    }
    return (struct slice){"", 0};
}

/* The last element, which is taken off. */
static struct slice last_of(struct slice *list)
{
    uint32_t at = list->len;
    while (at > 0 && list->at[at - 1] != ',') {
        at--;
    }
    struct slice last = slice_sub(*list, at, list->len);
    *list = slice_sub(*list, 0, at > 0 ? at - 1 : 0);
    return last;
}

/* False: what comes before is not to be believed any more. */
static bool read_chain(const struct config_listener *listener, const struct http_field *field,
                       uint8_t ret_address[16])
{
    struct slice rest = field->value;
    while (rest.len > 0) {
        uint8_t address[16];
        struct slice last = last_of(&rest);
        if (!read_address(field->id == HTTP_FORWARDED ? for_of(last) : last, address)) {
            return false;
        }
        memcpy(ret_address, address, sizeof address);
        if (!forward_trusts(listener, address)) {
            return false;
        }
    }
    return true;
}

void forward_client(const struct config_listener *listener, const struct http_peer *peer,
                    const struct http_head *head, uint8_t ret_address[16])
{
    enum http_field_id id = http_has(head, HTTP_X_FORWARDED_FOR) ? HTTP_X_FORWARDED_FOR
                                                                 : HTTP_FORWARDED;
    memcpy(ret_address, peer->address, 16);
    bool goes_on = http_has(head, id) && forward_trusts(listener, peer->address);
    for (uint32_t i = head->field_count; goes_on && i-- > 0;) {
        const struct http_field *field = &head->fields[i];
        goes_on = field->id != id || read_chain(listener, field, ret_address);
    }
}

bool forward_parent_of(const struct http_head *came, struct forward_parent *ret_parent)
{
    const struct http_field *field = trace_that_came(came);
    struct forward_parent parent;
    uint64_t flags;
    if (field == NULL || !text_parse_hex(slice_sub(field->value, 36, 52), &parent.id)
        || !text_parse_hex(slice_sub(field->value, 53, 55), &flags)) {
        return false;
    }
    parent.is_sampled = (flags & 1) != 0;
    *ret_parent = parent;
    return true;
}

void forward_same_trace(struct forward *forward, uint64_t trace_begun)
{
    forward->trace_begun = trace_begun;
    print_hex(forward->trace_at + 19, trace_begun);
}

/* The field goes by what it came with, as version 00, which is ours (W3C Trace Context §4.2). */
static void trace_go_on(struct forward *forward, uint64_t id, struct http_head *head)
{
    const struct http_field *came = trace_that_came(head);
    if (came == NULL || came->drop) {
        return; /* its route has something else in mind */
    }
    char text[FORWARD_TRACE_BYTES];
    memcpy(text, came->value.at, sizeof text);
    memcpy(text, "00", 2);
    print_hex(text + 36, id);
    forward_hide(head, BIT(HTTP_TRACEPARENT));
    add(forward, head, "traceparent: ", ((struct slice){text, sizeof text}), HTTP_TRACEPARENT);
}

void forward_span(struct forward *forward, uint64_t id, bool is_sampled, struct http_head *head)
{
    if (forward->trace_begun != 0) {
        print_hex(forward->trace_at + 36, id);
        forward->trace_at[54] = is_sampled ? '1' : '0';
    } else if (is_sampled) {
        trace_go_on(forward, id, head);
    }
}

struct slice forward_trace_id(const struct forward *forward, uint64_t trace_begun,
                              const struct http_head *came, char room[static FORWARD_TRACE_ID])
{
    if (trace_begun == 0) {
        const struct http_field *field = trace_that_came(came);
        return field != NULL ? slice_sub(field->value, 3, 3 + FORWARD_TRACE_ID)
                             : (struct slice){"", 0};
    }
    memcpy(room, forward->trace + 3, FORWARD_TRACE_ID / 2);
    print_hex(room + FORWARD_TRACE_ID / 2, trace_begun);
    return (struct slice){room, FORWARD_TRACE_ID};
}

/* --- helpers -----------------------------------------------------------------------------------
 */

/* What the route sets or removes goes by name, also where we have added it ourselves. */
static void drop_named(struct http_head *head, struct http_field *added, struct slice name)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];
        if (!field->drop && slice_same_nocase(field->name, name)) {
            field->drop |= FORWARD_DROP;
        }
    }
    for (uint32_t i = 0; i < head->added_count; i++) {
        added[i].drop |= slice_same_nocase(added[i].name, name) ? FORWARD_DROP : 0;
    }
}

static void apply_route(const struct forward_rules *rules, struct http_field *added,
                        struct http_head *head)
{
    if (rules->host.len > 0) {
        head->authority = rules->host;
    }
    const struct config_texts *remove = &rules->route->request_headers.remove;
    for (uint32_t i = 0; i < remove->count; i++) {
        drop_named(head, added, slice_of(remove->at[i]));
    }
    for (uint32_t i = 0; i < rules->set_count; i++) {
        drop_named(head, added, rules->set[i].name);
        added[head->added_count++] = rules->set[i];
    }
    check(head->added_count <= FORWARD_ADDED_MAX);
}

void forward_hide(struct http_head *head, uint64_t ids)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if ((BIT(head->fields[i].id) & ids) != 0) {
            head->fields[i].drop |= FORWARD_DROP;
        }
    }
}

/* All lines of a list field and one more element, as one line; only the last element where the rest
 * is too long. */
static struct slice chain_of(const struct http_head *head, enum http_field_id id, struct slice last,
                             char room[FORWARD_CHAIN_MAX])
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->id != id || field->drop || field->value.len == 0) {
            continue;
        }
        if (field->value.len + last.len + 4 > FORWARD_CHAIN_MAX - len) {
            len = 0;
            break;
        }
        memcpy(room + len, field->value.at, field->value.len);
        len += field->value.len;
        room[len++] = ',';
        room[len++] = ' ';
    }
    memcpy(room + len, last.at, last.len);
    return (struct slice){room, len + last.len};
}

/* for=192.0.2.7;proto=http or for="[2001:db8::7]";proto=http (RFC 7239 §6). */
static struct slice forwarded_of(const struct http_peer *peer, char room[96])
{
    bool quoted = memchr(peer->text, ':', peer->text_len) != NULL;
    bool known = peer->text_len > 0 && (quoted || memchr(peer->text, '.', peer->text_len) != NULL);
    struct slice parts[] = {
        SLICE("for="),
        quoted ? SLICE("\"[") : (struct slice){"", 0},
        known ? (struct slice){peer->text, peer->text_len} : SLICE("unknown"),
        quoted ? SLICE("]\"") : (struct slice){"", 0},
        SLICE(";proto="),
        peer->tls ? proto_tls : proto_plain,
    };
    uint32_t len = 0;
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(room + len, parts[i].at, parts[i].len);
        len += parts[i].len;
    }
    return (struct slice){room, len};
}

/* Eight digits at a time: a nibble in each byte, then '0' and, above nine, what leads to 'a'. */
static void print_hex_half(char *out, uint32_t bits)
{
    uint64_t x = __builtin_bswap32(bits);
    x = ((x & 0xffff0000) << 16) | (x & 0xffff);
    x = ((x << 8) | x) & 0x00ff00ff00ff00ff;
    x = ((x >> 4) | (x << 8)) & 0x0f0f0f0f0f0f0f0f;
    uint64_t letters = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101;
    x += 0x3030303030303030 + letters * ('a' - '0' - 10);
    memcpy(out, &x, sizeof x);
}

static void print_hex(char *out, uint64_t bits)
{
    print_hex_half(out, (uint32_t)(bits >> 32));
    print_hex_half(out + 8, (uint32_t)bits);
}

/* version-trace-parent-flags, all lower-case hex; a version to come may have more behind that (W3C
 * Trace Context §3.2). */
static bool trace_is_valid(struct slice value)
{
    static const char form[] = "00-00000000000000000000000000000000-0000000000000000-00";
    static const char zeroes[33] = "00000000000000000000000000000000";
    if (value.len < FORWARD_TRACE_BYTES) {
        return false;
    }
    for (uint32_t i = 0; i < FORWARD_TRACE_BYTES; i++) {
        char c = value.at[i];
        bool is_hex = text_is_digit(c) || (c >= 'a' && c <= 'f');
        if (form[i] == '-' ? c != '-' : !is_hex) {
            return false;
        }
    }
    bool is_known = memcmp(value.at, "00", 2) == 0;
    return memcmp(value.at, "ff", 2) != 0 && memcmp(value.at + 3, zeroes, 32) != 0
           && memcmp(value.at + 36, zeroes, 16) != 0
           && (value.len == FORWARD_TRACE_BYTES
               || (!is_known && value.at[FORWARD_TRACE_BYTES] == '-'));
}

/* NULL: there is none that can be understood, or it is not alone. */
static const struct http_field *trace_that_came(const struct http_head *head)
{
    const struct http_field *found = NULL;
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == HTTP_TRACEPARENT) {
            if (found != NULL) {
                return NULL;
            }
            found = &head->fields[i];
        }
    }
    return found != NULL && trace_is_valid(found->value) ? found : NULL;
}

/* What is none ends here with its state: a trace begins anew. */
static bool trace_is_kept(struct http_head *head)
{
    if (trace_that_came(head) != NULL) {
        return true;
    }
    forward_hide(head, BIT(HTTP_TRACEPARENT) | BIT(HTTP_TRACESTATE));
    return false;
}

/* Version 00, a trace's id, a parent's, sampled (W3C Trace Context §3.2). The first half of the
 * trace's id and the parent's are this worker's, so that one number a request is enough. */
static void trace_prepare(struct forward *forward)
{
    char *at = forward->trace;
    memcpy(at, "00-", 3);
    print_hex(at + 3, rand_next(&forward->rand) | 1);
    at[35] = '-';
    print_hex(at + 36, rand_next(&forward->rand) | 1);
    memcpy(at + 52, "-01", 3);
}

static void trace_start(struct forward *forward, char *value)
{
    forward->trace_at = value;
    forward->trace_begun = rand_next(&forward->rand) | 1;
    print_hex(value + 19, forward->trace_begun);
}
