/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/handshake.h"

#include "base/check.h"
#include "gateway/forward.h"
#include "proto/websocket_terms.h"

#include <string.h>
#include <sys/random.h>

#define NAME_EXTENSIONS SLICE("Sec-WebSocket-Extensions")
#define NAME_KEY        SLICE("Sec-WebSocket-Key")
#define NAME_ACCEPT     SLICE("Sec-WebSocket-Accept")
#define DEFLATE         SLICE("permessage-deflate")

static bool is_deflate(struct slice element)
{
    return slice_same_nocase(slice_trim(slice_sub(element, 0, slice_find(element, ';'))), DEFLATE);
}

/* Is every element of the list permessage-deflate, by whatever terms? */
static bool is_deflate_only(struct slice list)
{
    struct slice element;
    while (slice_split(&list, ',', &element)) {
        if (!is_deflate(slice_trim(element))) {
            return false;
        }
    }
    return true;
}

static void drop_named(struct http_head *head, struct slice name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        if (slice_same_nocase(head->fields[i].name, name)) {
            head->fields[i].drop |= FORWARD_DROP;
        }
    }
}

/* --- the request ------------------------------------------------------------------------------ */

void handshake_limit(struct http_head *request, bool has_key)
{
    if (!has_key) {
        drop_named(request, NAME_KEY);
    }
    for (unsigned i = 0; i < request->field_count; i++) {
        struct http_field *field = &request->fields[i];
        if (slice_same_nocase(field->name, NAME_EXTENSIONS) && !is_deflate_only(field->value)) {
            field->drop |= FORWARD_DROP;
        }
    }
}

enum fault handshake_ask(const struct http_head *request, struct slice *ret_key)
{
    switch (ret_key != NULL ? ws_judge_request(request, ret_key) : ws_judge_connect(request)) {
    case WS_OPENING_FINE: return FAULT_NONE;
    case WS_OPENING_VERSION: return FAULT_WEBSOCKET_VERSION;
    default: return FAULT_WEBSOCKET;
    }
}

void handshake_make_key(char ret_key[WS_KEY_LEN])
{
    uint8_t random[WS_KEY_BYTES];
    ssize_t len = getrandom(random, sizeof random, 0); /* never short of that few */
    check(len == sizeof random);
    ws_key_of(random, ret_key);
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool is_offered(const struct http_head *request)
{
    for (unsigned i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (slice_same_nocase(field->name, NAME_EXTENSIONS) && is_deflate_only(field->value)) {
            return true;
        }
    }
    return false;
}

/* Terms that both can keep, of one extension that was offered, or none at all. */
static bool judge_extensions(const struct http_head *request, const struct http_head *answer,
                             bool *ret_deflate)
{
    unsigned count;
    const struct http_field *chosen = ws_field(answer, NAME_EXTENSIONS, &count);
    struct ws_terms widest = WS_TERMS_DEFAULT, terms;
    widest.client_bits_said = true;
    *ret_deflate = count == 1;
    return count == 0
           || (count == 1 && is_offered(request)
               && ws_terms_accept(chosen->value, &widest, &terms));
}

/* All that were offered, as one list. */
static bool is_protocol_offered(const struct http_head *request, struct slice chosen)
{
    for (unsigned i = 0; i < request->field_count; i++) {
        struct slice list = request->fields[i].value, element;
        if (!slice_same_nocase(request->fields[i].name, SLICE("Sec-WebSocket-Protocol"))) {
            continue;
        }
        while (slice_split(&list, ',', &element)) {
            if (slice_same(slice_trim(element), chosen)) {
                return true;
            }
        }
    }
    return false;
}

static bool judge_protocol(const struct http_head *request, const struct http_head *answer)
{
    unsigned count;
    const struct http_field *chosen = ws_field(answer, SLICE("Sec-WebSocket-Protocol"), &count);
    return count == 0 || (count == 1 && is_protocol_offered(request, chosen->value));
}

static bool judge_opening(struct slice key, const struct http_head *answer)
{
    if (key.len == 0) {
        return answer->status >= 200 && answer->status < 300;
    }
    unsigned count;
    const struct http_field *chosen = ws_field(answer, SLICE("Sec-WebSocket-Protocol"), &count);
    struct slice protocols = count == 1 ? chosen->value : (struct slice){"", 0};
    return ws_judge_answer(answer, key, protocols) == WS_OPENING_FINE;
}

bool handshake_judge(const struct http_head *request, struct slice key, struct http_head *answer,
                     bool *ret_deflate)
{
    return judge_opening(key, answer) && judge_protocol(request, answer)
           && judge_extensions(request, answer, ret_deflate);
}

/* --- the answer, in the other version --------------------------------------------------------- */

bool handshake_is_agreed(uint16_t status, bool is_any_http2)
{
    return status == 101 || (is_any_http2 && status >= 200 && status < 300);
}

const struct http_head *handshake_answer(struct handshake_answer *ret,
                                         const struct http_head *answer, bool to_http1,
                                         bool from_http1, struct slice key)
{
    if (!to_http1) {
        handshake_answer_http2(ret, answer);
        return &ret->head;
    }
    if (!from_http1) {
        handshake_answer_http1(ret, answer, key);
        return &ret->head;
    }
    return answer;
}

void handshake_answer_http1(struct handshake_answer *ret, const struct http_head *answer,
                            struct slice key)
{
    ret->head = *answer;
    ret->head.status = 101;
    ret->head.reason = http_reason_of(101);
    ret->head.framing = HTTP_NO_BODY;
    ret->head.upgrade = true;
    ret->head.came_len = 0;
    drop_named(&ret->head, NAME_ACCEPT);
    ws_accept_of(key, ret->accept);
    ret->added[0] = (struct http_field){
        .name = SLICE("Upgrade"), .value = SLICE("websocket"), .id = HTTP_UPGRADE};
    ret->added[1] = (struct http_field){.name = NAME_ACCEPT, .value = {ret->accept, WS_ACCEPT_LEN}};
    ret->head.added = ret->added;
    ret->head.added_count = 2;
    for (unsigned i = 0; i < answer->added_count && i + 2 < HANDSHAKE_ADDED_MAX; i++) {
        ret->added[ret->head.added_count++] = answer->added[i];
    }
}

void handshake_answer_http2(struct handshake_answer *ret, const struct http_head *answer)
{
    ret->head = *answer;
    ret->head.status = 200;
    ret->head.reason = http_reason_of(200);
    ret->head.framing = HTTP_CHUNKED;
    ret->head.upgrade = false;
    drop_named(&ret->head, NAME_ACCEPT);
}
