/* SPDX-License-Identifier: Apache-2.0
 *
 * span.c - opentelemetry/proto/collector/trace/v1 as JSON: names in lower camel case, ids in hex,
 * 64-bit numbers as text.
 */
#include "gateway/span.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KIND_SERVER = 2, KIND_CLIENT = 3, STATUS_ERROR = 2 };

/* Of RFC 9110 and 5789; others are told as _OTHER, so that they make no names of spans. */
static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(method, known[i]) == 0)
            return known[i];
    return NULL;
}

/* --- attributes ----------------------------------------------------------------------------------
 */

/* {"key":…,"value":{…}}: what is between the two calls is the value. */
static void attribute_begin(struct json *json, const char *key)
{
    json_open(json, NULL, '{');
    json_text(json, "key", key);
    json_open(json, "value", '{');
}

static void attribute_end(struct json *json)
{
    json_close(json, '}');
    json_close(json, '}');
}

/* 64 bits, as text. */
static void put_u64_text(struct json *json, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    json_text(json, key, text);
}

static void put_text(struct json *json, const char *key, const char *value)
{
    if (value[0] == '\0')
        return;
    attribute_begin(json, key);
    json_text(json, "stringValue", value);
    attribute_end(json);
}

static void put_number(struct json *json, const char *key, uint64_t value)
{
    attribute_begin(json, key);
    put_u64_text(json, "intValue", value);
    attribute_end(json);
}

static void put_flag(struct json *json, const char *key, bool value)
{
    attribute_begin(json, key);
    json_bool(json, "boolValue", value);
    attribute_end(json);
}

static void put_id(struct json *json, const char *key, uint64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, id);
    json_text(json, key, text);
}

static void put_method(struct json *json, const struct span *span)
{
    const char *known = known_method(span->method);
    put_text(json, "http.request.method", known != NULL ? known : "_OTHER");
    if (known == NULL)
        put_text(json, "http.request.method_original", span->method);
}

/* What a host says of itself: "name", "name:80", "[::1]:80". */
static void put_server(struct json *json, const char *authority)
{
    char host[SPAN_HOST_MAX];
    const char *colon = strrchr(authority, ':');
    bool is_bracketed = authority[0] == '[';
    size_t len = strlen(authority);
    if (colon != NULL && strchr(colon, ']') == NULL
        && (is_bracketed || strchr(authority, ':') == colon))
        len = (size_t)(colon - authority);
    else
        colon = NULL;
    if (is_bracketed && len >= 2 && authority[len - 1] == ']') {
        authority++;
        len -= 2;
    }
    slice_copy(host, sizeof host, (struct slice){authority, (uint32_t)len});
    put_text(json, "server.address", host);
    uint64_t port = 0;
    for (const char *at = colon != NULL ? colon + 1 : ""; text_is_digit(*at) && port < 65536; at++)
        port = port * 10 + (uint64_t)(*at - '0');
    if (port > 0 && port < 65536)
        put_number(json, "server.port", port);
}

/* --- spans ---------------------------------------------------------------------------------------
 */

struct span_ends {
    uint64_t id, parent, from_ns, to_ns;
    int kind;
};

static void begin(struct json *json, const struct span *span, const struct span_ends *ends)
{
    const char *known = known_method(span->method);
    json_open(json, NULL, '{');
    json_slice(json, "traceId", (struct slice){span->trace, SPAN_TRACE});
    put_id(json, "spanId", ends->id);
    if (ends->parent != 0)
        put_id(json, "parentSpanId", ends->parent);
    json_u64(json, "flags", 1); /* sampled: nothing else comes here */
    json_text(json, "name", known != NULL ? known : "HTTP");
    json_i64(json, "kind", ends->kind);
    put_u64_text(json, "startTimeUnixNano", ends->from_ns);
    put_u64_text(json, "endTimeUnixNano",
                 ends->to_ns > ends->from_ns ? ends->to_ns : ends->from_ns);
    json_open(json, "attributes", '[');
}

/* Whose code it was: a fault of ours has a word, an answer its number. */
static void end(struct json *json, const struct span *span, uint16_t status, bool is_failed)
{
    char code[8];
    snprintf(code, sizeof code, "%u", status);
    if (is_failed)
        put_text(json, "error.type", span->error[0] != '\0' ? span->error : code);
    json_close(json, ']');
    json_open(json, "status", '{');
    if (is_failed)
        json_u64(json, "code", STATUS_ERROR);
    json_close(json, '}');
    json_close(json, '}');
}

static void put_server_span(struct json *json, const struct span *span, uint64_t ahead_ns)
{
    const struct span_ends ends = {span->id, span->parent, span->begun_ns + ahead_ns,
                                   span->ended_ns + ahead_ns, KIND_SERVER};
    begin(json, span, &ends);
    put_method(json, span);
    put_text(json, "url.path", span->path);
    put_text(json, "url.scheme", span->is_tls ? "https" : "http");
    put_server(json, span->host);
    put_text(json, "client.address", span->client);
    put_text(json, "network.protocol.name", "http");
    put_text(json, "network.protocol.version", span->is_http2 ? "2" : "1.1");
    if (span->status != 0)
        put_number(json, "http.response.status_code", span->status);
    put_text(json, "weir.listener", span->listener);
    end(json, span, span->status,
        span->status >= 500 || (span->error[0] != '\0' && span->status < 400));
}

static void put_client_span(struct json *json, const struct span *span, uint64_t ahead_ns)
{
    const struct span_ends ends = {span->client_id, span->id, span->asked_ns + ahead_ns,
                                   span->ended_ns + ahead_ns, KIND_CLIENT};
    char url[SPAN_HOST_MAX + SPAN_PATH_MAX + 16];
    snprintf(url, sizeof url, "%s://%s%s", span->is_upstream_tls ? "https" : "http", span->endpoint,
             span->path);
    begin(json, span, &ends);
    put_method(json, span);
    put_text(json, "url.full", url);
    put_server(json, span->endpoint);
    if (span->upstream_status != 0)
        put_number(json, "http.response.status_code", span->upstream_status);
    if (span->retries != 0)
        put_number(json, "http.request.resend_count", span->retries);
    put_text(json, "weir.upstream", span->upstream);
    put_text(json, "weir.account", span->account);
    put_flag(json, "weir.reused", span->is_reused);
    end(json, span, span->upstream_status,
        span->upstream_status >= 400 || span->upstream_status == 0 || span->error[0] != '\0');
}

/* --- messages ------------------------------------------------------------------------------------
 */

bool span_message_begin(struct bytes *out, const char *node)
{
    char room[1024];
    struct json json = json_into(room, sizeof room);
    json_open(&json, NULL, '{');
    json_open(&json, "resourceSpans", '[');
    json_open(&json, NULL, '{');
    json_open(&json, "resource", '{');
    json_open(&json, "attributes", '[');
    put_text(&json, "service.name", "weir");
    put_text(&json, "service.version", WEIR_VERSION);
    put_text(&json, "service.instance.id", node);
    json_close(&json, ']');
    json_close(&json, '}');
    json_open(&json, "scopeSpans", '[');
    json_open(&json, NULL, '{');
    json_open(&json, "scope", '{');
    json_text(&json, "name", "weir");
    json_text(&json, "version", WEIR_VERSION);
    json_close(&json, '}');
    json_open(&json, "spans", '[');
    return !json.full && bytes_append(out, json.at, json.len);
}

uint32_t span_message_add(struct bytes *out, uint32_t nth, const struct span *span,
                          uint64_t ahead_ns)
{
    char room[SPAN_TEXT_MAX];
    struct json json = json_into(room, sizeof room);
    json_open(&json, NULL, '['); /* so that a comma comes between the two */
    put_server_span(&json, span, ahead_ns);
    if (span->client_id != 0)
        put_client_span(&json, span, ahead_ns);
    if (json.full)
        return 0;
    if (nth > 0)
        json.at[0] = ',';
    size_t from = nth > 0 ? 0 : 1;
    return bytes_append(out, json.at + from, json.len - from) ? span_count(span) : 0;
}

bool span_message_end(struct bytes *out)
{
    return bytes_append_text(out, "]}]}]}");
}
