/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/openclaw.h"

#include <stdio.h>
#include <string.h>

#define CLIENT_ID     "gateway-client" /* of the gateway's closed list */
#define CLIENT_MODE   "backend"
#define PLATFORM      "linux"
#define DEVICE_FAMILY "" /* none */
#define ROLE          "operator"
#define SIGNED_MAX    4096U

static const char *const scopes_default[] = {"operator.read", "operator.write"};

/* --- reading ------------------------------------------------------------------------------------
 */

static bool member_text(struct slice object, struct slice name, char *ret_text, size_t size)
{
    struct slice value;
    ret_text[0] = '\0';
    return json_member(object, name, &value)
           && json_get_text(value, ret_text, size) != JSON_NO_TEXT;
}

static bool member_u64(struct slice object, struct slice name, uint64_t *ret_number)
{
    struct slice value;
    return json_member(object, name, &value) && json_get_u64(value, ret_number);
}

static void bad(struct claw_frame *frame, const char *why)
{
    *frame = (struct claw_frame){.kind = CLAW_BAD, .why = why};
}

/* Ids are ours: decimal numbers. */
static bool read_id(struct slice text, uint64_t *ret_id)
{
    char id[32];
    return member_text(text, SLICE("id"), id, sizeof id) && text_parse_u64(slice_of(id), ret_id);
}

static void read_response(struct slice text, struct claw_frame *frame)
{
    struct slice value;
    frame->kind = CLAW_RESPONSE;
    bool is_said = json_member(text, SLICE("ok"), &value) && json_get_bool(value, &frame->is_ok);
    if (!is_said || !read_id(text, &frame->id)) {
        bad(frame, is_said ? "id" : "ok");
        return;
    }
    json_member(text, SLICE("payload"), &frame->payload);
    json_member(text, SLICE("error"), &frame->error);
}

static void read_event(struct slice text, struct claw_frame *frame)
{
    frame->kind = CLAW_EVENT;
    if (!member_text(text, SLICE("event"), frame->name, sizeof frame->name)) {
        bad(frame, "event");
        return;
    }
    json_member(text, SLICE("payload"), &frame->payload);
    member_u64(text, SLICE("seq"), &frame->seq);
}

void claw_read(struct slice text, struct claw_frame *ret_frame)
{
    char type[16];
    *ret_frame = (struct claw_frame){0};
    if (!json_check(text)) {
        bad(ret_frame, "json");
        return;
    }
    text = json_trim(text);
    member_text(text, SLICE("type"), type, sizeof type); /* "": there is none */
    if (strcmp(type, "res") == 0) {
        read_response(text, ret_frame);
    } else if (strcmp(type, "event") == 0) {
        read_event(text, ret_frame);
    } else {
        bad(ret_frame, "type");
    }
}

bool claw_read_challenge(struct slice payload, char ret_nonce[CLAW_TOKEN_MAX])
{
    return member_text(payload, SLICE("nonce"), ret_nonce, CLAW_TOKEN_MAX) && ret_nonce[0] != '\0';
}

bool claw_read_hello(struct slice payload, struct claw_hello *ret_hello)
{
    struct slice part;
    char type[16];
    uint64_t number = 0;
    *ret_hello = (struct claw_hello){.tick_interval_ms = CLAW_TICK_MS,
                                     .payload_max = CLAW_PAYLOAD_MAX};
    if (!member_text(payload, SLICE("type"), type, sizeof type) || strcmp(type, "hello-ok") != 0
        || !member_u64(payload, SLICE("protocol"), &number) || number < CLAW_PROTOCOL_MIN
        || number > CLAW_PROTOCOL_MAX) {
        return false;
    }
    ret_hello->protocol = (uint32_t)number;
    if (json_member(payload, SLICE("policy"), &part)) {
        if (member_u64(part, SLICE("tickIntervalMs"), &number) && number > 0
            && number <= UINT32_MAX / 4) {
            ret_hello->tick_interval_ms = (uint32_t)number;
        }
        if (member_u64(part, SLICE("maxPayload"), &number) && number > 0) {
            ret_hello->payload_max = number;
        }
    }
    if (json_member(payload, SLICE("auth"), &part)) {
        member_text(part, SLICE("deviceToken"), ret_hello->device_token,
                    sizeof ret_hello->device_token);
    }
    return true;
}

void claw_read_refusal(struct slice error, struct claw_refusal *ret_refusal)
{
    struct slice details;
    uint64_t number = 0;
    *ret_refusal = (struct claw_refusal){0};
    member_text(error, SLICE("code"), ret_refusal->code, sizeof ret_refusal->code);
    member_text(error, SLICE("message"), ret_refusal->message, sizeof ret_refusal->message);
    bool is_said = member_u64(error, SLICE("retryAfterMs"), &number)
                   || (json_member(error, SLICE("details"), &details)
                       && member_u64(details, SLICE("retryAfterMs"), &number));
    if (is_said && number <= UINT32_MAX / 2) {
        ret_refusal->retry_after_ms = (uint32_t)number;
    }
}

bool claw_refusal_is_terminal(const struct claw_refusal *refusal)
{
    return refusal->retry_after_ms == 0 && strcmp(refusal->code, "UNAVAILABLE") != 0;
}

bool claw_close_is_terminal(uint16_t code)
{
    return code == 1002 || code == 1008 || code == 1009;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void write_head(struct json *json, uint64_t id, const char *method)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    json_open(json, NULL, '{');
    json_text(json, "type", "req");
    json_text(json, "id", text);
    json_text(json, "method", method);
}

static const char *secret_of(const struct claw_connect *connect)
{
    const char *secret = connect->token != NULL ? connect->token : connect->device_token;
    return secret != NULL ? secret : "";
}

/* What a device signs: every word of it is also said in the request. False: it does not fit. */
static bool signed_text(const struct claw_connect *connect, const char *const *scopes, size_t count,
                        char ret_text[SIGNED_MAX])
{
    int len = snprintf(ret_text, SIGNED_MAX, "v3|%s|%s|%s|%s|", connect->device->id, CLIENT_ID,
                       CLIENT_MODE, ROLE);
    for (size_t i = 0; i < count && len < (int)SIGNED_MAX; i++) {
        len += snprintf(ret_text + len, SIGNED_MAX - (size_t)len, "%s%s", i > 0 ? "," : "",
                        scopes[i]);
    }
    if (len < (int)SIGNED_MAX) {
        len += snprintf(ret_text + len, SIGNED_MAX - (size_t)len, "|%llu|%s|%s|%s|%s",
                        (unsigned long long)connect->now_ms, secret_of(connect), connect->nonce,
                        PLATFORM, DEVICE_FAMILY);
    }
    return len < (int)SIGNED_MAX;
}

static void write_device(struct json *json, const struct claw_connect *connect,
                         const char *const *scopes, size_t count)
{
    char text[SIGNED_MAX], key[CLAW_BASE64_MAX], signature[CLAW_BASE64_MAX];
    if (!signed_text(connect, scopes, count, text)
        || !claw_device_sign(connect->device, slice_of(text), signature)) {
        json->full = true;
        return;
    }
    claw_device_key_text(connect->device, key);
    json_open(json, "device", '{');
    json_text(json, "id", connect->device->id);
    json_text(json, "publicKey", key);
    json_text(json, "signature", signature);
    json_u64(json, "signedAt", connect->now_ms);
    json_text(json, "nonce", connect->nonce);
    json_close(json, '}');
}

static void write_auth(struct json *json, const struct claw_connect *connect)
{
    json_open(json, "auth", '{');
    if (connect->token != NULL) {
        json_text(json, "token", connect->token);
    }
    if (connect->password != NULL) {
        json_text(json, "password", connect->password);
    }
    if (connect->device_token != NULL) {
        json_text(json, "deviceToken", connect->device_token);
    }
    json_close(json, '}');
}

void claw_write_connect(struct json *json, uint64_t id, const struct claw_connect *connect)
{
    const char *const *scopes = connect->scopes != NULL ? connect->scopes : scopes_default;
    size_t count = connect->scopes != NULL ? connect->scopes_count : 2;
    write_head(json, id, "connect");
    json_open(json, "params", '{');
    json_u64(json, "minProtocol", CLAW_PROTOCOL_MIN);
    json_u64(json, "maxProtocol", CLAW_PROTOCOL_MAX);
    json_open(json, "client", '{');
    json_text(json, "id", CLIENT_ID);
    json_text(json, "version", connect->version);
    json_text(json, "platform", PLATFORM);
    json_text(json, "mode", CLIENT_MODE);
    json_close(json, '}');
    json_text(json, "role", ROLE);
    json_open(json, "scopes", '[');
    for (size_t i = 0; i < count; i++) {
        json_text(json, NULL, scopes[i]);
    }
    json_close(json, ']');
    json_open(json, "caps", '[');
    json_close(json, ']');
    write_auth(json, connect);
    if (connect->device != NULL) {
        write_device(json, connect, scopes, count);
    }
    json_close(json, '}');
    json_close(json, '}');
}

void claw_write_request(struct json *json, uint64_t id, const char *method, struct slice params)
{
    write_head(json, id, method);
    json_raw(json, "params", params.len > 0 ? params : SLICE("{}"));
    json_close(json, '}');
}

size_t claw_request_size(const char *method, struct slice params)
{
    return 6 * strlen(method) + params.len + 100; /* "\u0000" is the longest escape */
}
