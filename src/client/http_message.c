/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program wants to say, checked and copied: one block that is kept with its request, so that
 * the same message can be sent again, or turned into the one that a redirect asks for.
 *
 *   [fields][secret or not][URL][method][fields' text][body]
 *
 * A field's text is written as it goes over the wire, so that the writer copies it in one piece.
 */
#include "client/http.h"
#include "connector/tunnel.h"

#include <string.h>

#define FIELD_TEXT_MAX (256U << 10)
#define ADDED_FIELDS   2U /* User-Agent, Accept-Encoding */

#define BIT(id) (1ULL << (id))
#define FRAMING                                                                                    \
    (BIT(HTTP_CONTENT_LENGTH) | BIT(HTTP_TRANSFER_ENCODING) | BIT(HTTP_CONNECTION)                 \
     | BIT(HTTP_KEEP_ALIVE) | BIT(HTTP_PROXY_CONNECTION) | BIT(HTTP_TE) | BIT(HTTP_TRAILER)        \
     | BIT(HTTP_UPGRADE) | BIT(HTTP_HTTP2_SETTINGS) | BIT(HTTP_EXPECT))

static const struct slice accept_encoding = SLICE("Accept-Encoding");

/* Where the next piece of a block goes. */
struct draft {
    struct message *message;
    struct http_field *fields;
    uint8_t *secrets;
    char *at; /* text */
    uint32_t count;
};

/* --- the block ----------------------------------------------------------------------------------
 */

static size_t block_size(size_t fields, size_t text)
{
    return fields * (sizeof(struct http_field) + 1) + text;
}

static bool draft_begin(struct draft *draft, struct message *message, size_t fields, size_t text)
{
    size_t need = block_size(fields, text);
    if (need > message->size) {
        size_t size = need < 1024 ? 1024 : need;
        char *at = alloc_new(message->alloc, size);
        if (at == NULL) {
            return false;
        }
        alloc_free(message->alloc, message->at);
        message->at = at;
        message->size = size;
    }
    check(message->at != NULL); /* some text is needed always */
    draft->message = message;
    draft->fields = (struct http_field *)(void *)message->at;
    draft->secrets = message->secrets = (uint8_t *)(draft->fields + fields);
    draft->at = (char *)(draft->secrets + fields);
    draft->count = 0;
    message->head = (struct http_head){.version_minor = 1};
    message->body = NULL;
    message->body_len = 0;
    return true;
}

static struct slice draft_text(struct draft *draft, struct slice text)
{
    if (text.len > 0) {
        memcpy(draft->at, text.at, text.len);
    }
    struct slice copy = {draft->at, text.len};
    draft->at += text.len;
    return copy;
}

static void draft_field(struct draft *draft, struct slice name, struct slice value, uint8_t id,
                        bool is_secret)
{
    struct http_field *field = &draft->fields[draft->count];
    field->name = draft_text(draft, name);
    *draft->at++ = ':';
    *draft->at++ = ' ';
    field->value = draft_text(draft, value);
    *draft->at++ = '\r';
    *draft->at++ = '\n';
    field->id = id;
    field->drop = 0;
    field->wire = 1;
    draft->secrets[draft->count++] = is_secret;
    draft->message->head.present |= BIT(id);
}

static void draft_method(struct draft *draft, struct slice method)
{
    struct http_head *head = &draft->message->head;
    head->method = draft_text(draft, method);
    head->method_id = http_method_of(method);
}

struct whose {
    struct slice tenant, source, proxy;
};

static struct slice text_or(const char *text, const char *otherwise)
{
    return slice_of(text != NULL ? text : otherwise != NULL ? otherwise : "");
}

/* Whose connections it may use. */
static void draft_whose(struct draft *draft, const struct whose *whose)
{
    draft->message->tenant = draft_text(draft, whose->tenant);
    *draft->at++ = '\0';
    draft->message->source = draft_text(draft, whose->source);
    *draft->at++ = '\0';
    draft->message->proxy = draft_text(draft, whose->proxy);
    *draft->at++ = '\0';
}

/* Bodies of no length say so where the method means that there should be one (RFC 9110 §8.6). */
static void draft_frame(struct draft *draft, uint64_t body_len)
{
    struct message *message = draft->message;
    struct http_head *head = &message->head;
    head->fields = draft->fields;
    head->field_count = (uint16_t)draft->count;
    head->target = head->path = message->url.path;
    message->body_len = body_len;
    if (body_len == WEIR_HTTP_UNKNOWN) {
        head->framing = HTTP_CHUNKED;
    } else if (body_len > 0) {
        head->framing = HTTP_LENGTH;
        head->content_length = body_len;
    } else if (head->method_id == HTTP_POST || head->method_id == HTTP_PUT
               || head->method_id == HTTP_PATCH) {
        head->present |= BIT(HTTP_CONTENT_LENGTH);
    }
}

void message_fini(struct message *message)
{
    alloc_free(message->alloc, message->at);
    *message = (struct message){.alloc = message->alloc};
}

/* --- from the program ---------------------------------------------------------------------------
 */

/* What authenticates, beside the fields that http.h knows. */
static bool is_secret(struct slice name, uint8_t id)
{
    static const char *const names[] = {
        "cookie2",        "api-key",      "x-goog-api-key", "x-auth-token",
        "x-access-token", "x-csrf-token", "x-xsrf-token",   "x-amz-security-token",
    };
    switch (id) {
    case HTTP_AUTHORIZATION:
    case HTTP_PROXY_AUTHORIZATION:
    case HTTP_COOKIE:
    case HTTP_X_API_KEY: return true;
    case HTTP_FIELD_OTHER: break;
    default: return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_is_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* A field of the program's; `host` is where Host goes. */
static bool take_field(struct draft *draft, const weir_http_field *field, struct slice *host)
{
    struct slice name = slice_of(field->name);
    struct slice value = slice_trim(slice_of(field->value));
    if (!http_name_valid(name) || !http_value_valid(value)) {
        return false;
    }
    uint8_t id = http_field_id_of(name);
    if (BIT(id) & FRAMING & ~BIT(HTTP_FIELD_OTHER)) {
        return false;
    }
    if (id == HTTP_HOST) {
        if (host->len > 0 || !http_authority_valid(value)) {
            return false;
        }
        *host = draft_text(draft, value);
        return true;
    }
    draft_field(draft, name, value, id, field->secret || is_secret(name, id));
    return true;
}

static bool field_text(const weir_http_request *request, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        const weir_http_field *field = &request->fields[i];
        if (field->name == NULL || field->value == NULL) {
            return false;
        }
        len += strlen(field->name) + strlen(field->value) + 4;
        if (len > FIELD_TEXT_MAX) {
            return false;
        }
    }
    *ret_len = len;
    return request->field_count <= HTTP_FIELDS_MAX - ADDED_FIELDS;
}

static bool names_encoding(const struct draft *draft)
{
    for (uint32_t i = 0; i < draft->count; i++) {
        if (slice_same_nocase(draft->fields[i].name, accept_encoding)) {
            return true;
        }
    }
    return false;
}

static void add_fields(struct draft *draft, const struct weir_http_client *client, uint32_t flags)
{
    if (client->user_agent != NULL && !http_has(&draft->message->head, HTTP_USER_AGENT)) {
        draft_field(draft, SLICE("User-Agent"), slice_of(client->user_agent), HTTP_USER_AGENT,
                    false);
    }
    if (client->opt.decompress == WEIR_ON && (flags & WEIR_HTTP_RAW) == 0
        && !names_encoding(draft)) {
        draft_field(draft, accept_encoding, SLICE("gzip, deflate"), HTTP_FIELD_OTHER, false);
    }
}

static void take_body(struct draft *draft, const weir_http_request *request)
{
    if (request->body == NULL || request->body_len == 0) {
        return;
    }
    if (request->flags & WEIR_HTTP_BORROW) {
        draft->message->body = request->body;
        return;
    }
    memcpy(draft->at, request->body, request->body_len);
    draft->message->body = draft->at;
}

weir_err message_take(struct message *message, const struct weir_http_client *client,
                      const weir_http_request *request, const char **ret_fault)
{
    struct slice method = slice_of(request->method != NULL ? request->method : "GET");
    struct slice url = slice_of(request->url);
    size_t fields_len = 0;
    *ret_fault = "method";
    if (!http_name_valid(method) || method.len > 32 || http_method_of(method) == HTTP_CONNECT) {
        return WEIR_EINVAL;
    }
    *ret_fault = "fields";
    if (!field_text(request, &fields_len)) {
        return WEIR_EINVAL;
    }
    struct proxy proxy;
    const struct whose whose = {.tenant = text_or(request->tenant, NULL),
                                .source = text_or(request->source, NULL),
                                .proxy = text_or(request->proxy, client->proxy)};
    *ret_fault = "proxy";
    if (whose.proxy.len > 0 && whose.proxy.at != client->proxy
        && !proxy_parse(whose.proxy, &proxy)) {
        return WEIR_EINVAL;
    }
    *ret_fault = "body_len";
    bool is_copied = request->body != NULL && (request->flags & WEIR_HTTP_BORROW) == 0;
    if (request->body != NULL && request->body_len > SIZE_MAX / 4) {
        return WEIR_EINVAL;
    }
    size_t agent = client->user_agent != NULL ? strlen(client->user_agent) : 0;
    size_t text = fields_len + agent + 80 + method.len + url_room(url) + whose.tenant.len
                  + whose.source.len + whose.proxy.len
                  + (is_copied ? (size_t)request->body_len : 0);
    struct draft draft;
    if (!draft_begin(&draft, message, request->field_count + ADDED_FIELDS, text)) {
        return WEIR_ENOMEM;
    }
    *ret_fault = "url";
    if (!url_parse(url, draft.at, &message->url)) {
        return WEIR_EINVAL;
    }
    draft.at += message->url.text.len;
    draft_method(&draft, method);
    draft_whose(&draft, &whose);
    *ret_fault = "fields";
    struct slice host = {0};
    for (size_t i = 0; i < request->field_count; i++) {
        if (!take_field(&draft, &request->fields[i], &host)) {
            return WEIR_EINVAL;
        }
    }
    message->head.authority = host.len > 0 ? host : message->url.authority;
    add_fields(&draft, client, request->flags);
    take_body(&draft, request);
    draft_frame(&draft, request->body_len);
    return WEIR_OK;
}

/* --- redirects ----------------------------------------------------------------------------------
 */

/* RFC 9110 §15.4: 303 becomes GET, and so, by old habit, does POST after 301 and 302. */
static bool becomes_get(uint16_t status, uint8_t method_id)
{
    if (status == 303) {
        return method_id != HTTP_HEAD && method_id != HTTP_GET;
    }
    return (status == 301 || status == 302) && method_id == HTTP_POST;
}

static bool is_of_body(const struct http_field *field)
{
    return field->name.len > 8
           && slice_same_nocase(slice_sub(field->name, 0, 8), SLICE("content-"));
}

/* The fields of `old` that go on, behind the URL and the method in the new block. */
static void keep_fields(struct draft *draft, const struct message *old, bool no_body, bool hide)
{
    const uint8_t *secrets = old->secrets;
    for (uint32_t i = 0; i < old->head.field_count; i++) {
        const struct http_field *field = &old->head.fields[i];
        if ((hide && secrets[i]) || (no_body && is_of_body(field))) {
            continue;
        }
        draft_field(draft, field->name, field->value, field->id, secrets[i]);
    }
}

static void keep_body(struct draft *draft, const struct message *old)
{
    bool is_inside = old->body != NULL && (const char *)old->body >= old->at
                     && (const char *)old->body < old->at + old->size;
    if (is_inside) {
        memcpy(draft->at, old->body, (size_t)old->body_len);
        draft->message->body = draft->at;
    } else {
        draft->message->body = old->body;
    }
}

enum redirect message_redirect(struct message *message, uint16_t status, struct slice location,
                               bool is_repeatable, bool *hide)
{
    static const struct slice get = SLICE("GET");
    struct message next = {.alloc = message->alloc};
    struct draft draft;
    bool to_get = becomes_get(status, message->head.method_id);
    bool has_body = message->body_len > 0 && !to_get && status != 303;
    if (has_body && !is_repeatable) {
        return REDIRECT_NOT;
    }
    size_t text = message->size + url_room(message->url.text) + url_room(location);
    if (!draft_begin(&draft, &next, message->head.field_count, text)) {
        return REDIRECT_MEMORY;
    }
    if (!url_resolve(&message->url, location, draft.at, &next.url)
        || (message->url.scheme == URL_HTTPS && next.url.scheme != URL_HTTPS)) {
        message_fini(&next);
        return REDIRECT_WONT;
    }
    bool leaves = !url_same_origin(&message->url, &next.url);
    *hide |= leaves;
    draft.at += next.url.text.len;
    draft_method(&draft, to_get ? get : message->head.method);
    draft_whose(&draft, &(struct whose){message->tenant, message->source, message->proxy});
    next.head.authority = leaves ? next.url.authority : draft_text(&draft, message->head.authority);
    keep_fields(&draft, message, !has_body, *hide);
    if (has_body) {
        keep_body(&draft, message);
    }
    draft_frame(&draft, has_body ? message->body_len : 0);
    message_fini(message);
    *message = next;
    return REDIRECT_GO;
}
