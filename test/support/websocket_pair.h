/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_pair.h - for tests of WebSockets: a server that makes one of every request, a manager
 * for both ends, a record of what a dialled one was told, and raw sockets that speak as they like.
 *
 *   /echo    sends back what comes       /sink   forgets it
 *   /count   sends back how long it was  /stuff  sends 1 KiB messages until the peer takes no more
 *   /proto   chooses "chat"              /plain  is answered as if it were no WebSocket
 *   /timid   sends back what comes, and reads no more while anything of it is unsent
 */
#pragma once
#include <weir/websocket.h>

#include "support/blocking.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
    weir_runtime *runtime;
    weir_server *server;
    weir_websocket_manager *manager;
    /* Of the accepted ends. */
    _Atomic uint32_t opened, closed, messages, stuffed, pauses;
    _Atomic uint32_t err, code, drains;
    _Atomic int said; /* what weir_websocket_accept() said last */
    weir_websocket last;
    _Atomic bool has_last;
    char reason[128], detail[64];
    pthread_mutex_t mutex; /* of what is not atomic: ends are on both workers */
};

/* What a dialled end was told. */
struct caller {
    weir_websocket ws;
    _Atomic uint32_t opened, closed, messages, pongs, drains;
    _Atomic uint32_t err, code, status;
    _Atomic size_t len;
    char data[1 << 21];
    uint32_t kind;
    char protocol[32];
    bool deflate;
    char reason[128];
};

/* --- the accepted ends --------------------------------------------------------------------------
 */

#define ECHO_HIGH 65536U

static inline void echo_message(void *arg, weir_websocket ws, weir_websocket_kind kind,
                                const void *data, size_t len)
{
    struct pair *p = arg;
    assert_int_equal(weir_websocket_send(ws, kind, data, len), WEIR_OK);
    if (weir_websocket_unsent(ws) > ECHO_HIGH) {
        assert_int_equal(weir_websocket_pause(ws, true), WEIR_OK);
    }
    p->messages++;
}

static inline void echo_drain(void *arg, weir_websocket ws)
{
    struct pair *p = arg;
    p->drains++;
    assert_int_equal(weir_websocket_pause(ws, false), WEIR_OK);
}

static inline void timid_message(void *arg, weir_websocket ws, weir_websocket_kind kind,
                                 const void *data, size_t len)
{
    struct pair *p = arg;
    assert_int_equal(weir_websocket_send(ws, kind, data, len), WEIR_OK);
    if (weir_websocket_unsent(ws) > 0) {
        assert_int_equal(weir_websocket_pause(ws, true), WEIR_OK);
        p->pauses++;
    }
    p->messages++;
}

static inline void count_message(void *arg, weir_websocket ws, weir_websocket_kind kind,
                                 const void *data, size_t len)
{
    char text[32];
    (void)arg;
    (void)data;
    int size = snprintf(text, sizeof text, "%d %zu", kind, len);
    assert_int_equal(weir_websocket_send(ws, WEIR_WEBSOCKET_TEXT, text, (size_t)size), WEIR_OK);
}

static inline void sink_message(void *arg, weir_websocket ws, weir_websocket_kind kind,
                                const void *data, size_t len)
{
    struct pair *p = arg;
    (void)ws, (void)kind, (void)data, (void)len;
    p->messages++;
}

static inline void stuff(struct pair *p, weir_websocket ws)
{
    static const char block[1024];
    while (weir_websocket_send(ws, WEIR_WEBSOCKET_BINARY, block, sizeof block) == WEIR_OK) {
        p->stuffed++;
    }
}

static inline void stuff_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct pair *p = arg;
    (void)opening;
    p->opened++;
    stuff(p, ws);
}

static inline void pair_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct pair *p = arg;
    (void)opening;
    pthread_mutex_lock(&p->mutex);
    p->last = ws;
    pthread_mutex_unlock(&p->mutex);
    p->has_last = true;
    p->opened++;
}

static inline void pair_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    struct pair *p = arg;
    assert_int_equal(weir_websocket_send(ws, WEIR_WEBSOCKET_TEXT, "", 0), WEIR_ESTALE);
    p->err = end->err;
    p->code = end->code;
    pthread_mutex_lock(&p->mutex);
    snprintf(p->reason, sizeof p->reason, "%.*s", (int)end->reason.len,
             end->reason.at != NULL ? end->reason.at : "");
    snprintf(p->detail, sizeof p->detail, "%s", end->detail);
    pthread_mutex_unlock(&p->mutex);
    p->closed++;
}

static const weir_websocket_handler echo_handler = {.on_open = pair_open,
                                                    .on_message = echo_message,
                                                    .on_drain = echo_drain,
                                                    .on_close = pair_close};
static const weir_websocket_handler timid_handler = {.on_open = pair_open,
                                                     .on_message = timid_message,
                                                     .on_drain = echo_drain,
                                                     .on_close = pair_close};
static const weir_websocket_handler count_handler = {.on_open = pair_open,
                                                     .on_message = count_message,
                                                     .on_close = pair_close};
static const weir_websocket_handler sink_handler = {.on_open = pair_open,
                                                    .on_message = sink_message,
                                                    .on_close = pair_close};
static const weir_websocket_handler stuff_handler = {.on_open = stuff_open, .on_close = pair_close};

static inline void pair_request(void *self, weir_exchange *ex)
{
    struct pair *p = self;
    weir_text path = weir_request_path(ex);
    const weir_websocket_handler *handler = &echo_handler;
    weir_websocket_accept_options opt = {0};
    if (path.len == 6 && memcmp(path.at, "/plain", 6) == 0) {
        const weir_reply reply = {.status = 404};
        assert_int_equal(weir_exchange_reply(ex, &reply), WEIR_OK);
        return;
    }
    if (path.len == 6 && memcmp(path.at, "/count", 6) == 0) {
        handler = &count_handler;
    } else if (path.len == 5 && memcmp(path.at, "/sink", 5) == 0) {
        handler = &sink_handler;
    } else if (path.len == 6 && memcmp(path.at, "/timid", 6) == 0) {
        handler = &timid_handler;
    } else if (path.len == 6 && memcmp(path.at, "/stuff", 6) == 0) {
        handler = &stuff_handler;
    }
    static const weir_http_field field = {.name = "X-Mine", .value = "1"};
    opt.fields = &field;
    opt.field_count = 1;
    opt.protocol = path.len == 6 && memcmp(path.at, "/proto", 6) == 0 ? "chat" : NULL;
    weir_err err = weir_websocket_accept(p->manager, ex, &opt, handler, p, NULL);
    if (err == WEIR_EINVAL) {
        assert_int_equal(weir_exchange_reply(ex, &(weir_reply){.status = 400}), WEIR_OK);
    }
    p->said = (int)err;
}

static const weir_server_handler pair_handler = {.on_request = pair_request};

/* --- making it ----------------------------------------------------------------------------------
 */

static inline void pair_make(struct pair *p, weir_websocket_manager_options opt)
{
    const weir_runtime_options runtime = {.workers = 2};
    const weir_server_options server = {.address = "127.0.0.1:0", .keepalive_timeout_ms = 60000};
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
    assert_int_equal(weir_runtime_open(&runtime, &p->runtime), WEIR_OK);
    assert_int_equal(weir_websocket_manager_new(p->runtime, &opt, &p->manager), WEIR_OK);
    assert_int_equal(weir_server_listen(p->runtime, &server, &pair_handler, p, &p->server),
                     WEIR_OK);
}

static inline void pair_end(struct pair *p)
{
    assert_int_equal(weir_websocket_manager_free(p->manager, 2000), WEIR_OK);
    assert_int_equal(weir_server_close(p->server, 2000), WEIR_OK);
    assert_int_equal(weir_runtime_close(p->runtime, 0), WEIR_OK);
    assert_int_equal(p->opened, p->closed);
    pthread_mutex_destroy(&p->mutex);
}

/* --- dialled ends -------------------------------------------------------------------------------
 */

static inline void caller_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    struct caller *c = arg;
    c->ws = ws;
    snprintf(c->protocol, sizeof c->protocol, "%s", opening->protocol);
    c->deflate = opening->deflate;
    weir_text mine = weir_http_field_of(opening->answer, "x-mine");
    assert_true(mine.len == 1 && mine.at[0] == '1');
    c->opened++;
}

static inline void caller_message(void *arg, weir_websocket ws, weir_websocket_kind kind,
                                  const void *data, size_t len)
{
    struct caller *c = arg;
    (void)ws;
    assert_true(len < sizeof c->data);
    memcpy(c->data, data, len);
    c->data[len] = '\0';
    c->len = len;
    c->kind = kind;
    c->messages++;
}

static inline void caller_pong(void *arg, weir_websocket ws, const void *data, size_t len)
{
    struct caller *c = arg;
    (void)ws, (void)data, (void)len;
    c->pongs++;
}

static inline void caller_drain(void *arg, weir_websocket ws)
{
    struct caller *c = arg;
    (void)ws;
    c->drains++;
}

static inline void caller_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    struct caller *c = arg;
    (void)ws;
    c->err = end->err;
    c->code = end->code;
    c->status = end->status;
    snprintf(c->reason, sizeof c->reason, "%.*s", (int)end->reason.len,
             end->reason.at != NULL ? end->reason.at : "");
    assert_int_equal(end->was_open, c->opened);
    c->closed++;
}

static const weir_websocket_handler caller_handler = {.on_open = caller_open,
                                                      .on_message = caller_message,
                                                      .on_pong = caller_pong,
                                                      .on_drain = caller_drain,
                                                      .on_close = caller_close};

static inline struct caller *call_as(struct pair *p, const char *path, const char *protocols)
{
    char url[256];
    struct caller *c = calloc(1, sizeof *c);
    snprintf(url, sizeof url, "%s%s", path[0] == '/' ? "ws://" : "",
             path[0] == '/' ? weir_server_address(p->server) : path);
    if (path[0] == '/') {
        strcat(url, path);
    }
    const weir_websocket_request request = {.url = url, .protocols = protocols};
    assert_int_equal(weir_websocket_dial(p->manager, &request, &caller_handler, c, &c->ws),
                     WEIR_OK);
    return c;
}

static inline struct caller *call(struct pair *p, const char *path)
{
    struct caller *c = call_as(p, path, NULL);
    until(c->opened > 0 || c->closed > 0);
    return c;
}

static inline void hang_up(struct caller *take_c)
{
    if (take_c->closed == 0) {
        assert_int_equal(weir_websocket_close(take_c->ws, 1000, "bye"), WEIR_OK);
        until(take_c->closed > 0);
        assert_int_equal(take_c->err, WEIR_OK);
        assert_int_equal(take_c->code, 1000);
    }
    free(take_c);
}

/* --- raw ends -----------------------------------------------------------------------------------
 */

#define ASK(path)                                                                                  \
    "GET " path " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static inline int raw(const struct pair *p)
{
    return join_port(weir_server_port(p->server));
}

static inline void raw_say(int fd, const void *at, size_t len)
{
    assert_int_equal(send(fd, at, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* The head of an answer, its bytes exactly. */
static inline const char *raw_head(int fd)
{
    static char text[4096];
    size_t len = 0;
    while (len < sizeof text - 1 && (len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0)) {
        ssize_t n = recv(fd, text + len, 1, 0);
        if (n <= 0) {
            break;
        }
        len++;
    }
    text[len] = '\0';
    return text;
}

static inline int raw_open(const struct pair *p, const char *ask)
{
    int fd = raw(p);
    raw_say(fd, ask, strlen(ask));
    assert_memory_equal(raw_head(fd), "HTTP/1.1 101 ", 13);
    return fd;
}

/* A masked frame of up to 65535 bytes; the mask is 0, so that the payload shows. Its length. */
static inline size_t frame(char *to, unsigned first, const void *data, size_t len)
{
    size_t at = 0;
    to[at++] = (char)first;
    if (len < 126) {
        to[at++] = (char)(0x80 | len);
    } else {
        to[at++] = (char)(0x80 | 126);
        to[at++] = (char)(len >> 8);
        to[at++] = (char)len;
    }
    memset(to + at, 0, 4);
    memcpy(to + at + 4, data, len);
    return at + 4 + len;
}

static inline void raw_frame(int fd, unsigned first, const void *data, size_t len)
{
    static char bytes[70000];
    raw_say(fd, bytes, frame(bytes, first, data, len));
}

/* The next frame of the server's: its first byte, the payload; -1 where it has closed. */
static inline int raw_hear(int fd, char *payload, size_t *ret_len)
{
    uint8_t head[2], more[8];
    *ret_len = 0;
    if (recv(fd, head, 2, MSG_WAITALL) != 2) {
        return -1;
    }
    uint64_t len = head[1];
    if (len >= 126) {
        size_t size = len == 126 ? 2 : 8;
        assert_int_equal(recv(fd, more, size, MSG_WAITALL), (ssize_t)size);
        len = 0;
        for (size_t i = 0; i < size; i++) {
            len = len << 8 | more[i];
        }
    }
    assert_true(len < 1U << 20);
    assert_int_equal(len == 0 ? 0 : recv(fd, payload, len, MSG_WAITALL), (ssize_t)len);
    *ret_len = len;
    return head[0];
}

/* The code of the close that comes next, which ends it; 0: it was cut without one. */
static inline unsigned raw_code(int fd)
{
    static char payload[1 << 20];
    size_t len;
    for (;;) {
        int first = raw_hear(fd, payload, &len);
        if (first < 0) {
            return 0;
        }
        if (first == 0x88) {
            return len >= 2 ? (unsigned)(uint8_t)payload[0] << 8 | (uint8_t)payload[1] : 1005;
        }
    }
}
