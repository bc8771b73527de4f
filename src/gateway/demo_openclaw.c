/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker, on which all of its clients are, and a thread that ticks. What both touch is under
 * one lock.
 */
#include "gateway/demo_openclaw.h"

#include <weir/websocket.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/text.h"
#include "proto/json_read.h"
#include "proto/openclaw.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define PROTOCOL    4U
#define FRAME_MAX   (64U << 20)
#define HELD_MAX    1024U
#define KEYS_MAX    1024U
#define ID_MAX      64U
#define PARAMS_MAX  256U /* of one that is held */
#define STARTING_MS 100U
#define TICK_MS     30000U
#define NONCE_BYTES 16U
#define DEEP        200U
#define CLIENTS_MAX 1000U

struct visitor {
    struct demo_openclaw *demo;
    struct node on_demo;
    weir_websocket ws;
    char nonce[2 * NONCE_BYTES + 1];
    bool is_in;
    uint64_t seq;
    uint32_t held_count;
    struct {
        char id[ID_MAX], params[PARAMS_MAX];
    } held[HELD_MAX];
};

struct demo_openclaw {
    weir_runtime *runtime;
    weir_server *server;
    weir_websocket_manager *manager;
    char token[CLAW_TOKEN_MAX];
    uint64_t payload_max;
    uint32_t tick_ms;
    void (*on_heard)(void *arg, const char *what, const char *text, size_t len);
    void *arg;

    pthread_mutex_t mutex;
    pthread_cond_t moved;
    pthread_t ticker;
    bool has_ticker, is_over, ticks;
    struct list visitors;
    uint32_t starting, mute, upgrade;
    char deny[CLAW_WORD_MAX];
    /* Counted. */
    uint64_t upgrades, connects, hellos, requests, devices, strangers_most;
    struct {
        char key[128];
        uint32_t times;
    } keys[KEYS_MAX];
    uint32_t keys_count;
};

static void hear(const struct demo_openclaw *demo, const char *what, struct slice text)
{
    if (demo->on_heard != NULL) {
        demo->on_heard(demo->arg, what, text.at, text.len);
    }
}

/* --- saying -------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 2, 3))) static void say(struct visitor *visitor, const char *format,
                                                      ...)
{
    struct bytes text;
    va_list args;
    bytes_init(&text, &alloc_libc, FRAME_MAX);
    va_start(args, format);
    if (bytes_vprintf(&text, format, args)) {
        weir_websocket_send(visitor->ws, WEIR_WEBSOCKET_TEXT, bytes_at(&text), bytes_len(&text));
    }
    va_end(args);
    bytes_fini(&text);
}

static void answer(struct visitor *visitor, const char *id, const char *payload)
{
    say(visitor, "{\"type\":\"res\",\"id\":\"%s\",\"ok\":true,\"payload\":%s}", id, payload);
}

static void refuse(struct visitor *visitor, const char *id, const char *code, const char *message)
{
    say(visitor,
        "{\"type\":\"res\",\"id\":\"%s\",\"ok\":false,\"error\":{\"code\":\"%s\","
        "\"message\":\"%s\"}}",
        id, code, message);
}

static void tell(struct visitor *visitor, const char *name, const char *payload)
{
    say(visitor, "{\"type\":\"event\",\"event\":\"%s\",\"payload\":%s,\"seq\":%llu}", name, payload,
        (unsigned long long)++visitor->seq);
}

static bool text_of(struct slice object, const char *name, char *ret, size_t size)
{
    struct slice value;
    ret[0] = '\0';
    return json_is_object(object) && json_member(object, slice_of(name), &value)
           && json_get_text(value, ret, size) != JSON_NO_TEXT;
}

static uint64_t number_of(struct slice object, const char *name, uint64_t otherwise)
{
    struct slice value;
    uint64_t number;
    bool is_said = json_is_object(object) && json_member(object, slice_of(name), &value)
                   && json_get_u64(value, &number);
    return is_said ? number : otherwise;
}

static bool flag_of(struct slice object, const char *name, bool otherwise)
{
    struct slice value;
    bool flag;
    bool is_said = json_is_object(object) && json_member(object, slice_of(name), &value)
                   && json_get_bool(value, &flag);
    return is_said ? flag : otherwise;
}

/* --- letting in ---------------------------------------------------------------------------------
 */

/* What a device signs, as it must have: from what it says elsewhere. */
static bool is_signed(const struct visitor *visitor, struct slice params, struct slice device,
                      const char *secret)
{
    char key[CLAW_BASE64_MAX], signature[CLAW_BASE64_MAX], id[CLAW_DEVICE_ID_LEN + 1];
    char mine[CLAW_DEVICE_ID_LEN + 1], nonce[CLAW_TOKEN_MAX], text[4096], scopes[512] = "";
    struct slice list, name, value;
    struct json_at at = {0};
    size_t len = 0;
    if (json_member(params, SLICE("scopes"), &list)) {
        char scope[64];
        while (json_next(list, &at, &name, &value) && len < sizeof scopes - sizeof scope
               && json_get_text(value, scope, sizeof scope) != JSON_NO_TEXT) {
            len += (size_t)snprintf(scopes + len, sizeof scopes - len, "%s%s", len > 0 ? "," : "",
                                    scope);
        }
    }
    if (!text_of(device, "publicKey", key, sizeof key)
        || !text_of(device, "signature", signature, sizeof signature)
        || !text_of(device, "id", id, sizeof id) || !text_of(device, "nonce", nonce, sizeof nonce)
        || strcmp(nonce, visitor->nonce) != 0 || !claw_device_id_of(key, mine)
        || strcmp(id, mine) != 0) {
        return false;
    }
    int size = snprintf(
        text, sizeof text, "v3|%s|gateway-client|backend|operator|%s|%llu|%s|%s|%s|", id, scopes,
        (unsigned long long)number_of(device, "signedAt", 0), secret, nonce, "linux");
    return size < (int)sizeof text && claw_device_verify(key, signature, slice_of(text));
}

/* The device's token, which is good for it alone. */
static void device_token(struct slice device, char ret_token[CLAW_TOKEN_MAX])
{
    char id[CLAW_DEVICE_ID_LEN + 1];
    text_of(device, "id", id, sizeof id);
    snprintf(ret_token, CLAW_TOKEN_MAX, "device-%s", id);
}

static const char *judge(struct visitor *visitor, struct slice params, const char **ret_message)
{
    const struct demo_openclaw *demo = visitor->demo;
    struct slice auth = {0}, device;
    char token[CLAW_TOKEN_MAX], password[CLAW_TOKEN_MAX], mine[CLAW_TOKEN_MAX],
        good[CLAW_TOKEN_MAX];
    json_member(params, SLICE("auth"), &auth);
    text_of(auth, "token", token, sizeof token);
    text_of(auth, "password", password, sizeof password);
    text_of(auth, "deviceToken", mine, sizeof mine);
    bool has_device = json_member(params, SLICE("device"), &device);
    *ret_message = "unauthorized";
    if (number_of(params, "minProtocol", 99) > PROTOCOL
        || number_of(params, "maxProtocol", 0) < PROTOCOL) {
        *ret_message = "protocol mismatch";
        return "INVALID_REQUEST";
    }
    if (has_device && !is_signed(visitor, params, device, token[0] != '\0' ? token : mine)) {
        *ret_message = "the device's signature is wrong";
        return "INVALID_REQUEST";
    }
    if (has_device && mine[0] != '\0') {
        device_token(device, good);
        *ret_message = "unauthorized: device token mismatch";
        return strcmp(mine, good) == 0 ? NULL : "INVALID_REQUEST";
    }
    *ret_message = "unauthorized: gateway token mismatch";
    return strcmp(token, demo->token) == 0 || strcmp(password, demo->token) == 0
               ? NULL
               : "INVALID_REQUEST";
}

static void say_hello(struct visitor *visitor, const char *id, struct slice params)
{
    struct demo_openclaw *demo = visitor->demo;
    struct slice device;
    char token[CLAW_TOKEN_MAX], auth[CLAW_TOKEN_MAX + 64] = "{\"role\":\"operator\"}";
    if (json_member(params, SLICE("device"), &device)) {
        demo->devices++;
        device_token(device, token);
        snprintf(auth, sizeof auth, "{\"role\":\"operator\",\"deviceToken\":\"%.200s\"}", token);
    }
    demo->hellos++;
    visitor->is_in = true;
    hear(demo, "hello", (struct slice){0});
    say(visitor,
        "{\"type\":\"res\",\"id\":\"%s\",\"ok\":true,\"payload\":{\"type\":\"hello-ok\","
        "\"protocol\":%u,\"server\":{\"version\":\"double\"},\"features\":{\"methods\":[\"health\","
        "\"echo\",\"status\",\"chat.send\",\"agent\"],\"events\":[\"tick\",\"chat\",\"agent\"]},"
        "\"snapshot\":{},\"auth\":%s,\"policy\":{\"maxPayload\":%llu,\"maxBufferedBytes\":52428800,"
        "\"tickIntervalMs\":%u}}}",
        id, PROTOCOL, auth, (unsigned long long)demo->payload_max, demo->tick_ms);
}

static void on_connect(struct visitor *visitor, const char *id, struct slice params)
{
    struct demo_openclaw *demo = visitor->demo;
    const char *message = "refused, as it was asked for";
    const char *code;
    demo->connects++;
    if (demo->starting > 0) {
        demo->starting--;
        say(visitor,
            "{\"type\":\"res\",\"id\":\"%s\",\"ok\":false,\"error\":{\"code\":\"UNAVAILABLE\","
            "\"message\":\"gateway starting\",\"retryable\":true,\"retryAfterMs\":%u}}",
            id, STARTING_MS);
        weir_websocket_close(visitor->ws, 1013, "gateway starting");
        return;
    }
    code = demo->deny[0] != '\0' ? demo->deny : judge(visitor, params, &message);
    if (code != NULL) {
        refuse(visitor, id, code, message);
        weir_websocket_close(visitor->ws, strstr(message, "protocol") != NULL ? 1002 : 1008,
                             message);
        return;
    }
    say_hello(visitor, id, params);
}

/* --- how it behaves -----------------------------------------------------------------------------
 */

static void close_all(struct demo_openclaw *demo, uint16_t code, const char *reason)
{
    weir_list_each(it, &demo->visitors) {
        weir_websocket_close(list_entry(it, struct visitor, on_demo)->ws, code, reason);
    }
}

static void release(struct visitor *visitor)
{
    while (visitor->held_count > 0) {
        visitor->held_count--;
        answer(visitor, visitor->held[visitor->held_count].id,
               visitor->held[visitor->held_count].params);
    }
}

static void release_all(struct demo_openclaw *demo)
{
    weir_list_each(it, &demo->visitors) {
        release(list_entry(it, struct visitor, on_demo));
    }
}

static void say_to_all(struct demo_openclaw *demo, struct slice text)
{
    char *plain = malloc(text.len + 1); /* escapes are never shorter than what they stand for */
    bool is_text = plain != NULL && json_get_text(text, plain, text.len + 1) != JSON_NO_TEXT;
    weir_list_each(it, &demo->visitors) {
        struct visitor *visitor = list_entry(it, struct visitor, on_demo);
        if (is_text && visitor->is_in) {
            say(visitor, "%s", plain);
        }
    }
    free(plain);
}

static void behave(struct demo_openclaw *demo, struct slice how)
{
    demo->starting = (uint32_t)number_of(how, "starting", demo->starting);
    demo->mute = (uint32_t)number_of(how, "mute", demo->mute);
    demo->upgrade = (uint32_t)number_of(how, "upgrade", demo->upgrade);
    demo->ticks = flag_of(how, "ticks", demo->ticks);
    struct slice value;
    if (json_member(how, SLICE("deny"), &value)) {
        text_of(how, "deny", demo->deny, sizeof demo->deny);
    }
    if (json_member(how, SLICE("token"), &value)) {
        text_of(how, "token", demo->token, sizeof demo->token);
    }
    if (json_member(how, SLICE("say"), &value)) {
        say_to_all(demo, value);
    }
    if (flag_of(how, "release", false)) {
        release_all(demo);
    }
    if (flag_of(how, "restart", false)) {
        close_all(demo, 1012, "service restart");
    }
    if (flag_of(how, "hangup", false)) {
        close_all(demo, 1001, "");
    }
}

static void say_status(struct visitor *visitor, const char *id)
{
    const struct demo_openclaw *demo = visitor->demo;
    char text[256];
    snprintf(text, sizeof text,
             "{\"upgrades\":%llu,\"connects\":%llu,\"hellos\":%llu,\"requests\":%llu,"
             "\"devices\":%llu,\"clients\":%u,\"strangers_most\":%llu}",
             (unsigned long long)demo->upgrades, (unsigned long long)demo->connects,
             (unsigned long long)demo->hellos, (unsigned long long)demo->requests,
             (unsigned long long)demo->devices, demo->visitors.count,
             (unsigned long long)demo->strangers_most);
    answer(visitor, id, text);
}

/* --- methods ------------------------------------------------------------------------------------
 */

static void on_hold(struct visitor *visitor, const char *id, struct slice params)
{
    if (visitor->held_count == HELD_MAX || params.len >= PARAMS_MAX) {
        refuse(visitor, id, "UNAVAILABLE", "too much is held");
        return;
    }
    snprintf(visitor->held[visitor->held_count].id, ID_MAX, "%s", id);
    snprintf(visitor->held[visitor->held_count].params, PARAMS_MAX, "%.*s", SLICE_ARG(params));
    visitor->held_count++;
}

static void on_fail(struct visitor *visitor, const char *id, struct slice params)
{
    struct slice error = SLICE("{}");
    json_member(params, SLICE("error"), &error);
    say(visitor, "{\"type\":\"res\",\"id\":\"%s\",\"ok\":false,\"error\":%.*s}", id,
        SLICE_ARG(error));
}

static void on_chat(struct visitor *visitor, const char *id, struct slice params)
{
    struct demo_openclaw *demo = visitor->demo;
    char key[sizeof demo->keys->key], text[64];
    uint32_t at = 0;
    if (!text_of(params, "idempotencyKey", key, sizeof key)) {
        refuse(visitor, id, "INVALID_REQUEST", "no idempotencyKey");
        return;
    }
    while (at < demo->keys_count && strcmp(demo->keys[at].key, key) != 0) {
        at++;
    }
    if (at == demo->keys_count && at < KEYS_MAX) {
        demo->keys_count++;
        memcpy(demo->keys[at].key, key, sizeof key);
    }
    at = at < KEYS_MAX ? at : KEYS_MAX - 1;
    demo->keys[at].times++;
    snprintf(text, sizeof text, "{\"runId\":\"run-%u\",\"times\":%u}", at, demo->keys[at].times);
    if (flag_of(params, "hold", false) && demo->keys[at].times == 1) {
        on_hold(visitor, id, params);
        return;
    }
    tell(visitor, "chat", "{\"state\":\"delta\"}");
    answer(visitor, id, text);
}

static void on_agent(struct visitor *visitor, const char *id)
{
    answer(visitor, id, "{\"status\":\"accepted\",\"runId\":\"r\"}");
    tell(visitor, "agent", "{\"runId\":\"r\"}");
    answer(visitor, id, "{\"status\":\"ok\",\"runId\":\"r\"}");
}

static void on_emit(struct visitor *visitor, const char *id, struct slice params)
{
    uint64_t count = number_of(params, "count", 1);
    weir_list_each(it, &visitor->demo->visitors) {
        struct visitor *each = list_entry(it, struct visitor, on_demo);
        for (uint64_t i = 0; each->is_in && i < count && i < HELD_MAX; i++) {
            tell(each, "chat", "{\"n\":1}");
        }
    }
    answer(visitor, id, "{}");
}

static void say_large(struct visitor *visitor, const char *id, size_t size)
{
    size = size < FRAME_MAX / 2 ? size : FRAME_MAX / 2;
    char *text = malloc(size + 3);
    if (text != NULL) {
        memset(text, 'x', size + 2);
        text[0] = text[size + 1] = '"';
        text[size + 2] = '\0';
        answer(visitor, id, text);
        free(text);
    }
}

static void misbehave(struct visitor *visitor, const char *how, const char *id, struct slice params)
{
    if (strcmp(how, "json") == 0) {
        say(visitor, "this is not JSON");
    } else if (strcmp(how, "deep") == 0) {
        char text[2 * DEEP + 1];
        memset(text, '[', DEEP);
        memset(text + DEEP, ']', DEEP);
        text[sizeof text - 1] = '\0';
        answer(visitor, id, text);
    } else if (strcmp(how, "type") == 0) {
        say(visitor, "{\"type\":\"req\",\"id\":\"%s\",\"method\":\"x\"}", id);
    } else if (strcmp(how, "stranger") == 0) {
        answer(visitor, "987654321", "{}");
    } else if (strcmp(how, "twice") == 0) {
        answer(visitor, id, "{}");
        answer(visitor, id, "{}");
    } else if (strcmp(how, "large") == 0) {
        say_large(visitor, id, (size_t)number_of(params, "bytes", 1U << 20));
    } else if (strcmp(how, "binary") == 0) {
        weir_websocket_send(visitor->ws, WEIR_WEBSOCKET_BINARY, "{}", 2);
    } else if (strcmp(how, "early") == 0) {
        tell(visitor, "connect.challenge", "{\"nonce\":\"again\"}");
    } else {
        refuse(visitor, id, "INVALID_REQUEST", "no such way to misbehave");
    }
}

static void on_request(struct visitor *visitor, const char *method, const char *id,
                       struct slice params)
{
    struct demo_openclaw *demo = visitor->demo;
    demo->requests++;
    if (demo->mute > 0 && strcmp(method, "double") != 0) {
        demo->mute--;
        return;
    }
    if (strcmp(method, "health") == 0) {
        answer(visitor, id, "{\"ok\":true}");
    } else if (strcmp(method, "echo") == 0) {
        say(visitor, "{\"type\":\"res\",\"id\":\"%s\",\"ok\":true,\"payload\":%.*s}", id,
            SLICE_ARG(params));
    } else if (strcmp(method, "status") == 0) {
        say_status(visitor, id);
    } else if (strcmp(method, "hold") == 0) {
        on_hold(visitor, id, params);
    } else if (strcmp(method, "release") == 0) {
        release(visitor);
        answer(visitor, id, "{}");
    } else if (strcmp(method, "fail") == 0) {
        on_fail(visitor, id, params);
    } else if (strcmp(method, "chat.send") == 0) {
        on_chat(visitor, id, params);
    } else if (strcmp(method, "agent") == 0) {
        on_agent(visitor, id);
    } else if (strcmp(method, "emit") == 0) {
        on_emit(visitor, id, params);
    } else if (strcmp(method, "double") == 0) {
        answer(visitor, id, "{}");
        behave(demo, params);
    } else if (strncmp(method, "bad.", 4) == 0) {
        misbehave(visitor, method + 4, id, params);
    } else {
        refuse(visitor, id, "INVALID_REQUEST", "unknown method");
    }
}

/* --- a client -----------------------------------------------------------------------------------
 */

static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len)
{
    struct visitor *visitor = arg;
    struct demo_openclaw *demo = visitor->demo;
    const struct slice text = {data, (uint32_t)len};
    struct slice params = SLICE("{}");
    char type[16], id[ID_MAX], method[CLAW_WORD_MAX];
    bool is_frame = kind == WEIR_WEBSOCKET_TEXT && json_check(text)
                    && text_of(text, "type", type, sizeof type) && strcmp(type, "req") == 0
                    && text_of(text, "id", id, sizeof id)
                    && text_of(text, "method", method, sizeof method);
    if (!is_frame) {
        weir_websocket_close(ws, 1008, "invalid frame");
        return;
    }
    json_member(text, SLICE("params"), &params);
    pthread_mutex_lock(&demo->mutex);
    hear(demo, "frame", text);
    if (strcmp(method, "connect") == 0 && !visitor->is_in) {
        on_connect(visitor, id, params);
    } else if (visitor->is_in) {
        on_request(visitor, method, id, params);
    } else {
        weir_websocket_close(ws, 1008, "connect comes first");
    }
    pthread_mutex_unlock(&demo->mutex);
}

/* Locked. How many there are that were not let in: a real one takes 32 from an address. */
static void count_strangers(struct demo_openclaw *demo)
{
    uint64_t count = 0;
    weir_list_each(it, &demo->visitors) {
        count += !list_entry(it, struct visitor, on_demo)->is_in;
    }
    demo->strangers_most = count > demo->strangers_most ? count : demo->strangers_most;
}

static void on_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct visitor *visitor = arg;
    uint8_t random[NONCE_BYTES];
    (void)opening;
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        weir_websocket_close(ws, 1011, "no nonce");
        return;
    }
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(visitor->nonce + 2 * i, 3, "%02x", random[i]);
    }
    pthread_mutex_lock(&visitor->demo->mutex);
    visitor->ws = ws;
    list_push_back(&visitor->demo->visitors, &visitor->on_demo);
    count_strangers(visitor->demo);
    say(visitor,
        "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"%s\","
        "\"ts\":%llu}}",
        visitor->nonce, (unsigned long long)time(NULL) * 1000);
    pthread_mutex_unlock(&visitor->demo->mutex);
}

static void on_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    struct visitor *visitor = arg;
    (void)ws;
    (void)end;
    pthread_mutex_lock(&visitor->demo->mutex);
    list_leave(&visitor->on_demo);
    if (visitor->is_in) {
        hear(visitor->demo, "gone", (struct slice){0});
    }
    pthread_mutex_unlock(&visitor->demo->mutex);
    free(visitor);
}

static const weir_websocket_handler visitor_handler = {.on_open = on_open,
                                                       .on_message = on_message,
                                                       .on_close = on_close};

/* --- HTTP ---------------------------------------------------------------------------------------
 */

static bool is_path(const weir_exchange *ex, const char *path)
{
    weir_text text = weir_request_path(ex);
    return slice_is((struct slice){text.at, (uint32_t)text.len}, path);
}

static void reply_as(weir_exchange *ex, const char *type, uint16_t status, const void *body,
                     size_t len)
{
    const weir_http_field field = {.name = "Content-Type", .value = type};
    const weir_reply said = {
        .status = status, .fields = &field, .field_count = 1, .body = body, .body_len = len};
    weir_exchange_reply(ex, &said);
}

static void reply(weir_exchange *ex, uint16_t status, const void *body, size_t len)
{
    reply_as(ex, "application/json", status, body, len);
}

/* Else it was refused. */
static bool shows_token(struct demo_openclaw *demo, weir_exchange *ex)
{
    weir_text auth = weir_request_field_of(ex, "Authorization");
    char good[CLAW_TOKEN_MAX + 8];
    pthread_mutex_lock(&demo->mutex);
    snprintf(good, sizeof good, "Bearer %s", demo->token);
    pthread_mutex_unlock(&demo->mutex);
    bool is_good = slice_is((struct slice){auth.at, (uint32_t)auth.len}, good);
    if (!is_good) {
        reply(ex, 401, "{\"ok\":false}", 12);
    }
    return is_good;
}

static void invoke(struct demo_openclaw *demo, weir_exchange *ex)
{
    weir_text body = weir_request_body(ex);
    if (shows_token(demo, ex)) {
        reply(ex, 200, body.at, body.len);
    }
}

static void chat(struct demo_openclaw *demo, weir_exchange *ex)
{
    static const char whole[] = "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
                                "\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"}}]}";
    static const char pieces[] =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}"
        "\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}"
        "\n\ndata: [DONE]\n\n";
    weir_text body = weir_request_body(ex);
    struct slice text = {body.at, (uint32_t)body.len};
    if (!shows_token(demo, ex)) {
        return;
    }
    if (!json_check(text) || !json_is_object(text)) {
        reply(ex, 400, "{\"ok\":false}", 12);
    } else if (flag_of(text, "stream", false)) {
        reply_as(ex, "text/event-stream", 200, pieces, sizeof pieces - 1);
    } else {
        reply(ex, 200, whole, sizeof whole - 1);
    }
}

static void accept_visitor(struct demo_openclaw *demo, weir_exchange *ex)
{
    struct visitor *visitor = calloc(1, sizeof *visitor);
    if (visitor == NULL) {
        reply(ex, 503, "{}", 2);
        return;
    }
    visitor->demo = demo;
    weir_err err = weir_websocket_accept(demo->manager, ex, NULL, &visitor_handler, visitor, NULL);
    if (err != WEIR_OK) {
        free(visitor);
    }
}

static void on_http(void *self, weir_exchange *ex)
{
    struct demo_openclaw *demo = self;
    pthread_mutex_lock(&demo->mutex);
    bool is_starting = demo->starting > 0;
    uint32_t upgrade = demo->upgrade;
    demo->upgrades += weir_websocket_is_asked(ex);
    if (weir_websocket_is_asked(ex)) {
        weir_text path = weir_request_path(ex);
        hear(demo, "upgrade", (struct slice){path.at, (uint32_t)path.len});
    }
    pthread_mutex_unlock(&demo->mutex);
    if (weir_websocket_is_asked(ex) && upgrade != 0) {
        reply(ex, (uint16_t)upgrade, "{}", 2);
    } else if (weir_websocket_is_asked(ex)) {
        accept_visitor(demo, ex);
    } else if (is_path(ex, "/readyz") || is_path(ex, "/health")) {
        reply(ex, is_starting ? 503 : 200, is_starting ? "{\"ok\":false}" : "{\"ok\":true}",
              is_starting ? 12 : 11);
    } else if (is_path(ex, "/tools/invoke")) {
        invoke(demo, ex);
    } else if (is_path(ex, "/v1/chat/completions")) {
        chat(demo, ex);
    } else {
        reply(ex, 404, "{}", 2);
    }
}

static const weir_server_handler http_handler = {.on_request = on_http};

/* --- ticking ------------------------------------------------------------------------------------
 */

static void *tick(void *arg)
{
    struct demo_openclaw *demo = arg;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&demo->mutex);
    while (!demo->is_over) {
        next.tv_sec += demo->tick_ms / 1000;
        next.tv_nsec += (long)(demo->tick_ms % 1000) * 1000000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        while (!demo->is_over
               && pthread_cond_timedwait(&demo->moved, &demo->mutex, &next) != ETIMEDOUT) {
        }
        weir_list_each(it, &demo->visitors) {
            struct visitor *visitor = list_entry(it, struct visitor, on_demo);
            if (visitor->is_in && demo->ticks) {
                say(visitor, "{\"type\":\"event\",\"event\":\"tick\",\"payload\":{\"ts\":%llu}}",
                    (unsigned long long)time(NULL) * 1000);
            }
        }
    }
    pthread_mutex_unlock(&demo->mutex);
    return NULL;
}

/* --- opening and closing ------------------------------------------------------------------------
 */

static int serve(struct demo_openclaw *demo, const char *address)
{
    const weir_runtime_options runtime = {.workers = 1};
    const weir_server_options server = {
        .name = "openclaw", .address = address, .max_connections = CLIENTS_MAX, .http2 = WEIR_OFF};
    const weir_websocket_manager_options manager = {
        .message_max = FRAME_MAX / 2,
        .unsent_max = FRAME_MAX,
        .pool = {.max_total = CLIENTS_MAX, .idle_timeout_ms = WEIR_NEVER, .probe_every_ms = 25000}};
    weir_err err = weir_runtime_open(&runtime, &demo->runtime);
    err = err == WEIR_OK ? weir_websocket_manager_new(demo->runtime, &manager, &demo->manager)
                         : err;
    err = err == WEIR_OK
              ? weir_server_listen(demo->runtime, &server, &http_handler, demo, &demo->server)
              : err;
    return err == WEIR_OK ? 0 : err == WEIR_ENOMEM ? -ENOMEM : -EADDRNOTAVAIL;
}

/* Signals are for the program's other threads. */
static int start_ticker(struct demo_openclaw *demo)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = -pthread_create(&demo->ticker, NULL, tick, demo);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int demo_openclaw_open(const struct demo_openclaw_options *opt, struct demo_openclaw **ret_demo)
{
    struct demo_openclaw *demo = calloc(1, sizeof *demo);
    pthread_condattr_t monotonic;
    if (demo == NULL) {
        return -ENOMEM;
    }
    list_init(&demo->visitors);
    demo->ticks = true;
    demo->tick_ms = opt->tick_ms != 0 ? opt->tick_ms : TICK_MS;
    demo->on_heard = opt->on_heard;
    demo->arg = opt->arg;
    demo->payload_max = opt->payload_max != 0 ? opt->payload_max : CLAW_PAYLOAD_MAX;
    snprintf(demo->token, sizeof demo->token, "%s", opt->token != NULL ? opt->token : "demo");
    pthread_mutex_init(&demo->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&demo->moved, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = serve(demo, opt->address != NULL ? opt->address : "127.0.0.1:0");
    if (error == 0) {
        error = start_ticker(demo);
        demo->has_ticker = error == 0;
    }
    if (error != 0) {
        demo_openclaw_close(demo);
        return error;
    }
    *ret_demo = demo;
    return 0;
}

void demo_openclaw_close(struct demo_openclaw *take_demo)
{
    struct demo_openclaw *demo = take_demo;
    if (demo == NULL) {
        return;
    }
    if (demo->has_ticker) {
        pthread_mutex_lock(&demo->mutex);
        demo->is_over = true;
        pthread_cond_signal(&demo->moved);
        pthread_mutex_unlock(&demo->mutex);
        pthread_join(demo->ticker, NULL);
    }
    weir_websocket_manager_free(demo->manager, 1000);
    weir_server_close(demo->server, 1000);
    if (demo->runtime != NULL) {
        weir_runtime_close(demo->runtime, 1000);
    }
    pthread_cond_destroy(&demo->moved);
    pthread_mutex_destroy(&demo->mutex);
    free(demo);
}

uint16_t demo_openclaw_port(const struct demo_openclaw *demo)
{
    return weir_server_port(demo->server);
}

bool demo_openclaw_behave(struct demo_openclaw *demo, const char *how)
{
    const struct slice text = slice_of(how);
    if (!json_check(text) || !json_is_object(text)) {
        return false;
    }
    pthread_mutex_lock(&demo->mutex);
    behave(demo, text);
    pthread_mutex_unlock(&demo->mutex);
    return true;
}
