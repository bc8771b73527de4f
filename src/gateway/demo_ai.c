/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_ai.c - a request is a `talk`: its body is gathered, then it is answered, at once or a word
 * at a time.
 */
#include "gateway/demo_ai.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/list.h"
#include "gateway/host.h"
#include "io/address.h"
#include "proto/json_read.h"

#include <errno.h>
#include <stdio.h>

#define CLIENTS_MAX 1024U
#define BODY_MAX    65536U
#define WORD_MS     250U
#define INPUT       12U /* tokens of any request */

static const char *const said[] = {"Hello", " from", " a", " demo", " account."};
#define WORDS (sizeof said / sizeof *said)

struct demo_ai {
    struct loop *loop;
    struct host *host;
    uint64_t window_ms; /* when the small account's began */
    uint32_t asked;     /* of the small account since */
};

struct talk {
    struct demo_ai *ai;
    struct http_exchange *exchange;
    struct loop_timer timer;
    struct bytes body;
    uint32_t words;    /* sent so far */
    uint32_t retry_s;  /* 0: it may ask */
    bool is_too_large; /* it is answered all the same */
};

static const struct http_handler ai_handler;

int demo_ai_open(struct loop *loop, struct demo_ai **ret_ai)
{
    struct demo_ai *ai = alloc_zeroed(&alloc_libc, sizeof *ai);
    if (ai == NULL) {
        return -ENOMEM;
    }
    ai->loop = loop;
    struct host_options opt = {.name = "ai",
                               .clients_max = CLIENTS_MAX,
                               .keepalive_timeout_ms = 600000,
                               .handler = &ai_handler,
                               .self = ai};
    address_of_host("127.0.0.1", 0, &opt.address);
    int error = host_open(loop, &opt, &ai->host);
    if (error != 0) {
        demo_ai_close(ai);
        return error;
    }
    *ret_ai = ai;
    return 0;
}

void demo_ai_close(struct demo_ai *take_ai)
{
    if (take_ai != NULL) {
        host_close(take_ai->host);
        alloc_free(&alloc_libc, take_ai);
    }
}

uint16_t demo_ai_port(const struct demo_ai *ai)
{
    return host_port(ai->host);
}

/* --- answers -------------------------------------------------------------------------------------
 */

static void talk_free(struct talk *talk)
{
    talk->exchange->user = NULL;
    loop_timer_stop(talk->ai->loop, &talk->timer);
    bytes_fini(&talk->body);
    alloc_free(&alloc_libc, talk);
}

static void head_send(struct http_exchange *exchange, uint16_t status, const char *type,
                      size_t length, uint32_t retry_s)
{
    char wait[16];
    snprintf(wait, sizeof wait, "%u", retry_s);
    struct http_field fields[] = {
        {.name = SLICE("Content-Type"), .value = slice_of(type), .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("Retry-After"), .value = slice_of(wait), .id = HTTP_RETRY_AFTER},
    };
    const struct http_head head = {.status = status,
                                   .reason = http_reason_of(status),
                                   .framing = length > 0 ? HTTP_LENGTH : HTTP_CHUNKED,
                                   .content_length = length,
                                   .version_minor = 1,
                                   .keep_alive = true,
                                   .field_count = retry_s > 0 ? 2 : 1,
                                   .fields = fields};
    exchange->ops->respond(exchange, &head);
}

static void end(struct talk *talk)
{
    struct http_exchange *exchange = talk->exchange;
    talk_free(talk);
    exchange->ops->end(exchange, NULL);
    exchange->ops->flush(exchange);
}

static void refuse(struct talk *talk)
{
    static const char text[] = "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
                               "\"message\":\"This account has asked enough.\"}}\n";
    head_send(talk->exchange, 429, "application/json", sizeof text - 1, talk->retry_s);
    talk->exchange->ops->body(talk->exchange, text, sizeof text - 1);
    end(talk);
}

static void answer(struct talk *talk)
{
    char text[512];
    int len = snprintf(text, sizeof text,
                       "{\"id\":\"msg_demo\",\"type\":\"message\",\"role\":\"assistant\","
                       "\"content\":[{\"type\":\"text\",\"text\":\"%s%s%s%s%s\"}],"
                       "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":%u,"
                       "\"output_tokens\":%zu}}\n",
                       said[0], said[1], said[2], said[3], said[4], INPUT, WORDS);
    head_send(talk->exchange, 200, "application/json", (size_t)len, 0);
    talk->exchange->ops->body(talk->exchange, text, (size_t)len);
    end(talk);
}

/* --- streams -------------------------------------------------------------------------------------
 */

/* True: the client is to take it first. */
static bool event_send(struct talk *talk, const char *name, const char *fields)
{
    char text[512];
    int len = snprintf(text, sizeof text, "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", name, name,
                       fields);
    talk->exchange->ops->body(talk->exchange, text, (size_t)len);
    return talk->exchange->ops->flush(talk->exchange);
}

static void word_send(struct talk *talk)
{
    char fields[256];
    if (talk->words < WORDS) {
        snprintf(fields, sizeof fields,
                 ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}",
                 said[talk->words++]);
        if (!event_send(talk, "content_block_delta", fields)) {
            loop_timer_set(talk->ai->loop, &talk->timer, loop_now_ms(talk->ai->loop) + WORD_MS);
        }
        return;
    }
    snprintf(fields, sizeof fields,
             ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":%zu}", WORDS);
    event_send(talk, "message_delta", fields);
    event_send(talk, "message_stop", "");
    end(talk);
}

static void on_time(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    word_send(container_of(timer, struct talk, timer));
}

static void stream_begin(struct talk *talk)
{
    char fields[256];
    snprintf(fields, sizeof fields,
             ",\"message\":{\"id\":\"msg_demo\",\"type\":\"message\",\"role\":\"assistant\","
             "\"content\":[],\"usage\":{\"input_tokens\":%u,\"output_tokens\":1}}",
             INPUT);
    head_send(talk->exchange, 200, "text/event-stream", 0, 0);
    event_send(talk, "message_start", fields);
    event_send(talk, "content_block_start",
               ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
    word_send(talk);
}

/* --- the handler ---------------------------------------------------------------------------------
 */

/* For how many seconds it is to wait; 0: it may ask. */
static uint32_t wait_of(struct demo_ai *ai, const struct http_head *head)
{
    const struct http_field *key = http_find(head, HTTP_X_API_KEY);
    uint64_t now_ms = loop_now_ms(ai->loop);
    if (key == NULL || !slice_is(key->value, DEMO_AI_KEY_SMALL)) {
        return 0;
    }
    if (ai->asked == 0 || now_ms - ai->window_ms >= DEMO_AI_WINDOW_MS) {
        ai->window_ms = now_ms;
        ai->asked = 0;
    }
    if (ai->asked < DEMO_AI_SMALL) {
        ai->asked++;
        return 0;
    }
    return (uint32_t)((ai->window_ms + DEMO_AI_WINDOW_MS - now_ms + 999) / 1000);
}

static bool wants_stream(const struct talk *talk)
{
    struct slice text = {bytes_at(&talk->body), (uint32_t)bytes_len(&talk->body)}, value;
    bool is_stream = false;
    return !talk->is_too_large && json_check(text)
           && json_member(json_trim(text), SLICE("stream"), &value)
           && json_get_bool(value, &is_stream) && is_stream;
}

static void talk_answer(struct talk *talk)
{
    if (talk->retry_s > 0) {
        refuse(talk);
    } else if (wants_stream(talk)) {
        stream_begin(talk);
    } else {
        answer(talk);
    }
}

static void on_request(void *self, struct http_exchange *exchange, struct http_head *head,
                       bool is_end)
{
    struct demo_ai *ai = self;
    struct talk *talk = alloc_zeroed(&alloc_libc, sizeof *talk);
    exchange->user = talk;
    if (talk == NULL) {
        exchange->ops->abort(exchange);
        return;
    }
    *talk = (struct talk){.ai = ai, .exchange = exchange, .timer = {.fire = on_time}};
    bytes_init(&talk->body, &alloc_libc, BODY_MAX);
    talk->retry_s = wait_of(ai, head);
    if (is_end) {
        talk_answer(talk);
    }
}

static void on_body(struct http_exchange *exchange, const void *data, size_t len)
{
    struct talk *talk = exchange->user;
    if (talk != NULL && !bytes_append(&talk->body, data, len)) {
        talk->is_too_large = true;
    }
}

static void on_request_end(struct http_exchange *exchange, const struct http_head *trailers)
{
    (void)trailers;
    if (exchange->user != NULL) {
        talk_answer(exchange->user);
    }
}

static void on_flush(struct http_exchange *exchange)
{
    (void)exchange;
}

static void on_drain(struct http_exchange *exchange)
{
    struct talk *talk = exchange->user;
    if (talk != NULL) {
        loop_timer_set(talk->ai->loop, &talk->timer, loop_now_ms(talk->ai->loop) + WORD_MS);
    }
}

static void on_abort(struct http_exchange *exchange, enum http_fault why)
{
    (void)why;
    if (exchange->user != NULL) {
        talk_free(exchange->user);
    }
}

static const struct http_handler ai_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};
