/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/fault.h"

#include "base/check.h"
#include "proto/grpc.h"
#include "proto/json.h"

#include <stdio.h>

static const struct {
    uint16_t status;
    const char *code, *error, *message;
} rows[FAULT_COUNT] = {[FAULT_NONE] = {0, "", "", ""},
#define FAULT_ROW(id, word, number, proxy, text)                                                   \
    [FAULT_##id] = {.status = (number), .code = (word), .error = (proxy), .message = (text)},
                       FAULTS(FAULT_ROW)
#undef FAULT_ROW
};

enum fault fault_of_err(weir_err err)
{
    switch (err) {
    case WEIR_OK: return FAULT_NONE;
    case WEIR_EQUEUE: return FAULT_QUEUE_FULL;
    case WEIR_EWAIT: return FAULT_WAIT_TOO_LONG;
    case WEIR_EACQUIRE_TIMEOUT: return FAULT_ACQUIRE_TIMEOUT;
    case WEIR_EFULL:
    case WEIR_EFILES:
    case WEIR_ECONNS:
    case WEIR_EKEYS: return FAULT_POOL_FULL;
    case WEIR_EDOWN: return FAULT_DOWN;
    case WEIR_EDENIED: return FAULT_DENIED;
    case WEIR_ECLOSED: return FAULT_CLOSING;
    case WEIR_EREFUSED: return FAULT_REFUSED;
    case WEIR_EUNREACHABLE: return FAULT_UNREACHABLE;
    case WEIR_ERESOLVE: return FAULT_DNS;
    case WEIR_ECONNECT_TIMEOUT: return FAULT_CONNECT_TIMEOUT;
    case WEIR_ETLS_TIMEOUT: return FAULT_TLS_TIMEOUT;
    case WEIR_ETLS: return FAULT_TLS;
    case WEIR_ETLS_EXPIRED: return FAULT_TLS_EXPIRED;
    case WEIR_ETLS_NAME: return FAULT_TLS_NAME;
    case WEIR_ETLS_UNTRUSTED: return FAULT_TLS_UNTRUSTED;
    case WEIR_ETLS_ALPN: return FAULT_TLS_ALPN;
    case WEIR_ENOMEM:
    case WEIR_EINVAL: return FAULT_INTERNAL;
    default: return FAULT_CONNECT;
    }
}

enum fault fault_of_call(enum http_fault fault)
{
    switch (fault) {
    case HTTP_FINE: return FAULT_NONE;
    case HTTP_FAULT_REFUSED: return FAULT_REFUSED;
    case HTTP_FAULT_CONNECT_TIMEOUT: return FAULT_CONNECT_TIMEOUT;
    case HTTP_FAULT_RESET:
    case HTTP_FAULT_STALE: return FAULT_RESET;
    case HTTP_FAULT_BAD_ANSWER: return FAULT_BAD_ANSWER;
    case HTTP_FAULT_FIRST_BYTE_TIMEOUT: return FAULT_FIRST_BYTE_TIMEOUT;
    case HTTP_FAULT_READ_TIMEOUT: return FAULT_READ_TIMEOUT;
    case HTTP_FAULT_WRITE_TIMEOUT: return FAULT_WRITE_TIMEOUT;
    case HTTP_FAULT_TOTAL_TIMEOUT: return FAULT_TOTAL_TIMEOUT;
    case HTTP_FAULT_CANCELLED: return FAULT_CLIENT_LEFT;
    case HTTP_FAULT_BAD_REQUEST: return FAULT_BAD_REQUEST;
    case HTTP_FAULT_IDLE: return FAULT_IDLE;
    }
    unreachable();
}

weir_err fault_err_of_call(enum http_fault fault)
{
    switch (fault) {
    case HTTP_FAULT_RESET: return WEIR_ERESET;
    case HTTP_FAULT_STALE: return WEIR_EHANGUP;
    case HTTP_FAULT_BAD_ANSWER: return WEIR_EPROTOCOL;
    case HTTP_FAULT_FIRST_BYTE_TIMEOUT: return WEIR_EFIRST_BYTE_TIMEOUT;
    case HTTP_FAULT_READ_TIMEOUT: return WEIR_EREAD_TIMEOUT;
    case HTTP_FAULT_WRITE_TIMEOUT: return WEIR_EWRITE_TIMEOUT;
    case HTTP_FAULT_TOTAL_TIMEOUT: return WEIR_ETOTAL_TIMEOUT;
    default: return WEIR_EBROKEN;
    }
}

const char *fault_code(enum fault fault)
{
    check(fault < FAULT_COUNT);
    return rows[fault].code;
}

uint16_t fault_status(enum fault fault)
{
    check(fault < FAULT_COUNT);
    return rows[fault].status;
}

static void add(struct fault_answer *answer, const char *name, const char *value,
                enum http_field_id id)
{
    struct http_head *head = &answer->head;
    head->fields[head->field_count++] =
        (struct http_field){.name = slice_of(name), .value = slice_of(value), .id = (uint8_t)id};
    head->present |= UINT64_C(1) << id;
}

void fault_answer_make(struct fault_answer *answer, enum fault fault, uint32_t retry_after_ms,
                       const char *server)
{
    uint16_t status = fault_status(fault);
    bool later = status == 503 || status == 429;
    uint32_t seconds = retry_after_ms / 1000 + (retry_after_ms % 1000 != 0);
    seconds = seconds > 0 ? seconds : 1;

    struct json json = json_into(answer->body, sizeof answer->body);
    json_open(&json, NULL, '{');
    json_open(&json, "error", '{');
    json_text(&json, "code", rows[fault].code);
    json_text(&json, "message", rows[fault].message);
    if (later) {
        json_u64(&json, "retry_after", seconds);
    } else {
        json_null(&json, "retry_after");
    }
    json_close(&json, '}');
    json_close(&json, '}');
    check(!json.full);
    answer->body_len = (uint32_t)json.len;

    answer->head = (struct http_head){.status = status,
                                      .framing = HTTP_LENGTH,
                                      .version_minor = 1,
                                      .keep_alive = true,
                                      .content_length = json.len,
                                      .fields = answer->fields};
    add(answer, "Content-Type", "application/json", HTTP_CONTENT_TYPE);
    snprintf(answer->status, sizeof answer->status, "%.32s; error=%s", server, rows[fault].error);
    add(answer, "Proxy-Status", answer->status, HTTP_FIELD_OTHER);
    if (status == 401) { /* RFC 9110 §15.5.2 */
        add(answer, "WWW-Authenticate", "Bearer", HTTP_FIELD_OTHER);
    }
    if (status == 426) { /* RFC 9110 §15.5.22, RFC 6455 §4.4 */
        answer->head.upgrade = true;
        add(answer, "Upgrade", "websocket", HTTP_UPGRADE);
        add(answer, "Sec-WebSocket-Version", "13", HTTP_FIELD_OTHER);
    }
    if (later) {
        snprintf(answer->retry_after, sizeof answer->retry_after, "%u", seconds);
        add(answer, "Retry-After", answer->retry_after, HTTP_RETRY_AFTER);
    }
}

unsigned fault_grpc_code(enum fault fault)
{
    switch (fault) {
    case FAULT_NONE: return GRPC_OK;
    case FAULT_NO_ROUTE: return GRPC_UNIMPLEMENTED;
    case FAULT_NO_ACCOUNT:
    case FAULT_NO_SERVICE: return GRPC_NOT_FOUND;
    case FAULT_DEADLINE:
    case FAULT_SLOW_REQUEST: return GRPC_DEADLINE_EXCEEDED;
    case FAULT_TOO_LARGE:
    case FAULT_MESSAGE_SIZE:
    case FAULT_ANSWER_SIZE:
    case FAULT_ACCOUNTS_COOLING:
    case FAULT_ACCOUNTS_FULL:
    case FAULT_CLIENT_FAST:
    case FAULT_CLIENT_BUSY: return GRPC_RESOURCE_EXHAUSTED;
    case FAULT_CLIENT_LEFT: return GRPC_CANCELLED;
    case FAULT_KEY_MISSING:
    case FAULT_KEY_WRONG: return GRPC_UNAUTHENTICATED;
    case FAULT_BAD_REQUEST:
    case FAULT_BAD_ANSWER:
    case FAULT_INTERNAL: return GRPC_INTERNAL;
    default: return GRPC_UNAVAILABLE;
    }
}

void fault_answer_grpc(struct fault_answer *answer, enum fault fault, bool is_trailer)
{
    snprintf(answer->grpc_status, sizeof answer->grpc_status, "%u", fault_grpc_code(fault));
    size_t len = grpc_message_write(rows[fault].message, answer->body, sizeof answer->body - 1);
    answer->body[len] = '\0';
    answer->body_len = 0;
    answer->head = (struct http_head){.status = 200,
                                      .framing = HTTP_NO_BODY,
                                      .version_minor = 1,
                                      .keep_alive = true,
                                      .fields = answer->fields};
    if (!is_trailer) {
        add(answer, "Content-Type", "application/grpc", HTTP_CONTENT_TYPE);
    }
    add(answer, "grpc-status", answer->grpc_status, HTTP_FIELD_OTHER);
    add(answer, "grpc-message", answer->body, HTTP_FIELD_OTHER);
}
