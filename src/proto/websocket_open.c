/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_open.c - the rules of RFC 6455 §4.1 and §4.2 in their order.
 */
#include "proto/websocket_open.h"

#include "base/check.h"

#include <openssl/evp.h>
#include <string.h>

#define VERSION     SLICE("13")
#define GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 §1.3 */
#define SHA1_LEN    20U
#define NAME_KEY    SLICE("Sec-WebSocket-Key")
#define NAME_ACCEPT SLICE("Sec-WebSocket-Accept")

const struct http_field *ws_field(const struct http_head *head, struct slice name,
                                  unsigned *ret_count)
{
    const struct http_field *found = NULL;
    *ret_count = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (slice_same_nocase(head->fields[i].name, name)) {
            found = found != NULL ? found : &head->fields[i];
            ++*ret_count;
        }
    }
    return found;
}

/* Whether a list of words (RFC 9110 §5.6.1) holds one. */
static bool has_word(struct slice list, struct slice word, bool case_counts)
{
    struct slice item;
    while (slice_split(&list, ',', &item)) {
        item = slice_trim(item);
        if (case_counts ? slice_same(item, word) : slice_same_nocase(item, word)) {
            return true;
        }
    }
    return false;
}

static bool upgrades_to_websocket(const struct http_head *head)
{
    const struct http_field *upgrade = http_find(head, HTTP_UPGRADE);
    return upgrade != NULL && has_word(upgrade->value, SLICE("websocket"), false);
}

bool ws_is_asked(const struct http_head *request)
{
    return request->upgrade && upgrades_to_websocket(request);
}

/* 16 bytes in base64 are 22 letters and "==". */
static bool is_key(struct slice text)
{
    uint8_t bytes[WS_KEY_BYTES + 2];
    return text.len == WS_KEY_LEN && text.at[WS_KEY_LEN - 1] == '='
           && text.at[WS_KEY_LEN - 2] == '=' && text.at[WS_KEY_LEN - 3] != '='
           && EVP_DecodeBlock(bytes, (const uint8_t *)text.at, WS_KEY_LEN) == sizeof bytes;
}

enum ws_opening ws_judge_connect(const struct http_head *request)
{
    unsigned count;
    const struct http_field *version = ws_field(request, SLICE("Sec-WebSocket-Version"), &count);
    return count == 1 && slice_same(version->value, VERSION) ? WS_OPENING_FINE : WS_OPENING_VERSION;
}

enum ws_opening ws_judge_request(const struct http_head *request, struct slice *ret_key)
{
    if (request->method_id != HTTP_GET || request->framing != HTTP_NO_BODY) {
        return WS_OPENING_METHOD;
    }
    enum ws_opening opening = ws_judge_connect(request);
    if (opening != WS_OPENING_FINE) {
        return opening;
    }
    unsigned count;
    const struct http_field *key = ws_field(request, NAME_KEY, &count);
    if (count != 1 || !is_key(key->value)) {
        return WS_OPENING_KEY;
    }
    *ret_key = key->value;
    return WS_OPENING_FINE;
}

unsigned ws_opening_status(enum ws_opening opening)
{
    switch (opening) {
    case WS_OPENING_FINE: return 101;
    case WS_OPENING_VERSION: return 426;
    case WS_OPENING_METHOD:
    case WS_OPENING_KEY: return 400;
    case WS_OPENING_STATUS:
    case WS_OPENING_UPGRADE:
    case WS_OPENING_ACCEPT:
    case WS_OPENING_PROTOCOL: break;
    }
    return 502;
}

const char *ws_opening_text(enum ws_opening opening)
{
    static const char *const texts[] = {
        [WS_OPENING_FINE] = "opened",
        [WS_OPENING_METHOD] = "a WebSocket is opened by GET without a body",
        [WS_OPENING_VERSION] = "Sec-WebSocket-Version must be 13",
        [WS_OPENING_KEY] = "Sec-WebSocket-Key must be there once, 16 bytes in base64",
        [WS_OPENING_STATUS] = "the server did not answer 101",
        [WS_OPENING_UPGRADE] = "the server switches to another protocol than websocket",
        [WS_OPENING_ACCEPT] = "Sec-WebSocket-Accept does not answer the key that was sent",
        [WS_OPENING_PROTOCOL] = "the server chose a subprotocol that was not offered",
    };
    return texts[opening];
}

void ws_accept_of(struct slice key, char ret[WS_ACCEPT_LEN])
{
    char text[WS_KEY_LEN + sizeof GUID - 1];
    check(key.len == WS_KEY_LEN);
    memcpy(text, key.at, WS_KEY_LEN);
    memcpy(text + WS_KEY_LEN, GUID, sizeof GUID - 1);
    uint8_t hash[SHA1_LEN];
    unsigned len = 0;
    check(EVP_Digest(text, sizeof text, hash, &len, EVP_sha1(), NULL) == 1 && len == SHA1_LEN);
    uint8_t base64[WS_ACCEPT_LEN + 1];
    EVP_EncodeBlock(base64, hash, SHA1_LEN);
    memcpy(ret, base64, WS_ACCEPT_LEN);
}

void ws_key_of(const uint8_t random[WS_KEY_BYTES], char ret[WS_KEY_LEN])
{
    uint8_t base64[WS_KEY_LEN + 1];
    EVP_EncodeBlock(base64, random, WS_KEY_BYTES);
    memcpy(ret, base64, WS_KEY_LEN);
}

static bool is_protocol_good(const struct http_head *answer, struct slice protocols)
{
    unsigned count;
    const struct http_field *chosen = ws_field(answer, SLICE("Sec-WebSocket-Protocol"), &count);
    return count == 0 || (count == 1 && has_word(protocols, chosen->value, true));
}

enum ws_opening ws_judge_agreed(const struct http_head *answer, struct slice protocols)
{
    if (answer->status < 200 || answer->status >= 300) {
        return WS_OPENING_STATUS;
    }
    return is_protocol_good(answer, protocols) ? WS_OPENING_FINE : WS_OPENING_PROTOCOL;
}

enum ws_opening ws_judge_answer(const struct http_head *answer, struct slice key,
                                struct slice protocols)
{
    if (answer->status != 101) {
        return WS_OPENING_STATUS;
    }
    if (!answer->upgrade || !upgrades_to_websocket(answer)) {
        return WS_OPENING_UPGRADE;
    }
    char expected[WS_ACCEPT_LEN];
    ws_accept_of(key, expected);
    unsigned count;
    const struct http_field *accept = ws_field(answer, NAME_ACCEPT, &count);
    if (count != 1 || !slice_same(accept->value, (struct slice){expected, sizeof expected})) {
        return WS_OPENING_ACCEPT;
    }
    return is_protocol_good(answer, protocols) ? WS_OPENING_FINE : WS_OPENING_PROTOCOL;
}
