/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/refusal.h"

#include "base/check.h"
#include "proto/grpc.h"

#include <stdio.h>

const struct http1_refusal *refusal_of_door(enum accept_refusal why)
{
    static const struct http1_refusal full = {
        .status = 503,
        .code = "listener_full",
        .message = "Too many connections.",
        .proxy_error = "connection_limit_reached",
        .retry_after_s = 1,
    };
    static const struct http1_refusal per_ip = {
        .status = 503,
        .code = "too_many_from_address",
        .message = "Too many connections from this address.",
        .proxy_error = "connection_limit_reached",
        .retry_after_s = 1,
    };
    static const struct http1_refusal too_short = {
        .status = 503,
        .code = "overloaded",
        .message = "The gateway is short of descriptors or memory.",
        .proxy_error = "connection_limit_reached",
        .retry_after_s = 1,
    };
    switch (why) {
    case ACCEPT_FULL: return &full;
    case ACCEPT_PER_IP: return &per_ip;
    case ACCEPT_SHORT: return &too_short;
    }
    unreachable();
}

static void print_body(struct refusal_answer *answer, const struct http1_refusal *refusal)
{
    char retry[40] = "";
    if (refusal->retry_after_s > 0) {
        snprintf(retry, sizeof retry, ",\"retry_after\":%u", refusal->retry_after_s);
    }
    int len = snprintf(answer->body, REFUSAL_TEXT,
                       "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"%s}}\n", refusal->code,
                       refusal->message, retry);
    check(len > 0 && len < (int)REFUSAL_TEXT);
    answer->body_len = (uint32_t)len;
}

void refusal_make(struct refusal_answer *answer, const struct http1_refusal *refusal,
                  const char *server)
{
    struct http_field *fields = answer->fields;
    uint16_t count = 2;
    print_body(answer, refusal);
    snprintf(answer->status, sizeof answer->status, "%s; error=%s; details=\"%s\"", server,
             refusal->proxy_error, refusal->code);
    fields[0] = (struct http_field){.name = SLICE("Content-Type"),
                                    .value = SLICE("application/json")};
    fields[1] = (struct http_field){.name = SLICE("Proxy-Status"),
                                    .value = slice_of(answer->status)};
    if (refusal->retry_after_s > 0) {
        snprintf(answer->retry, sizeof answer->retry, "%u", refusal->retry_after_s);
        fields[count++] = (struct http_field){.name = SLICE("Retry-After"),
                                              .value = slice_of(answer->retry)};
    }
    if (refusal->status == 405) { /* RFC 9110 §15.5.6 */
        fields[count++] = (struct http_field){
            .name = SLICE("Allow"), .value = SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")};
    }
    answer->head = (struct http_head){
        .status = refusal->status,
        .reason = http_reason_of(refusal->status),
        .version_minor = 1,
        .framing = HTTP_LENGTH,
        .content_length = answer->body_len,
        .fields = fields,
        .field_count = count,
    };
}

void refusal_make_grpc(struct refusal_answer *answer, const struct http1_refusal *refusal,
                       bool is_trailer)
{
    struct http_field *fields = answer->fields;
    uint16_t count = 0;
    snprintf(answer->status, sizeof answer->status, "%u",
             (unsigned)grpc_code_of_refusal(refusal->status));
    size_t len = grpc_message_write(refusal->message, answer->body, sizeof answer->body);
    answer->body_len = 0;
    if (!is_trailer) {
        fields[count++] = (struct http_field){.name = SLICE("Content-Type"),
                                              .value = SLICE("application/grpc")};
    }
    fields[count++] = (struct http_field){.name = SLICE("grpc-status"),
                                          .value = slice_of(answer->status)};
    fields[count++] = (struct http_field){.name = SLICE("grpc-message"),
                                          .value = {answer->body, (uint32_t)len}};
    answer->head = (struct http_head){
        .status = 200,
        .version_minor = 1,
        .framing = HTTP_NO_BODY,
        .fields = fields,
        .field_count = count,
    };
}
