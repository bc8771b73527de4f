/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_websocket.c - an echo is one end (connector/websocket.h) on the tunnel that its exchange
 * became. One whose peer does not read what it is told is not read from either.
 */
#include "gateway/demo_websocket.h"

#include "connector/websocket.h"
#include "proto/websocket_open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define MESSAGE_MAX     (1U << 20)
#define FRAGMENTS_MAX   1024U
#define UNSENT_MAX      (4 * MESSAGE_MAX)
#define PING_MS         30000U
#define PATIENCE_MS     10000U
#define ANSWER_SIZE_MAX 256U

struct echo {
    struct ws_end end;
    struct http_tunnel tunnel;
    struct demo_websocket *home;
    struct echo *next_grave;
};

struct demo_websocket {
    struct loop *loop;
    struct loop_later bury;
    struct echo *graves; /* gone, and freed when nobody is inside one */
    struct ws_desk desk;
};

/* --- what is said back --------------------------------------------------------------------------
 */

static void on_message(struct ws_end *end, unsigned opcode, const char *at, size_t len)
{
    weir_err err = ws_end_send(end, opcode, at, len);
    if (err != WEIR_OK && err != WEIR_ESTATE) {
        ws_end_close(end, WS_CODE_TRY_LATER, SLICE("there is no memory for this message"));
    } else if (ws_end_unsent(end) > 0) {
        ws_end_pause(end, true);
    }
}

static void on_drain(struct ws_end *end)
{
    ws_end_pause(end, false);
}

static void on_pong(struct ws_end *end, struct slice payload)
{
    (void)end;
    (void)payload;
}

static void bury(struct loop_later *later)
{
    struct demo_websocket *echoes = container_of(later, struct demo_websocket, bury);
    while (echoes->graves != NULL) {
        struct echo *echo = echoes->graves;
        echoes->graves = echo->next_grave;
        free(echo);
    }
}

static void on_gone(struct ws_end *end, const struct ws_farewell *farewell)
{
    struct echo *echo = container_of(end, struct echo, end);
    struct demo_websocket *echoes = echo->home;
    (void)farewell;
    echo->tunnel.stream = NULL;
    echo->tunnel.close(&echo->tunnel);
    echo->next_grave = echoes->graves;
    echoes->graves = echo;
    loop_later(echoes->loop, &echoes->bury);
}

static const struct ws_end_ops end_ops = {.on_message = on_message,
                                          .on_pong = on_pong,
                                          .on_drain = on_drain,
                                          .on_gone = on_gone};

/* --- what the listener wants of it --------------------------------------------------------------
 */

static struct ws_end *end_of(struct http_tunnel *tunnel)
{
    return &container_of(tunnel, struct echo, tunnel)->end;
}

static void tunnel_cut(struct http_tunnel *tunnel)
{
    ws_end_abort(end_of(tunnel), WEIR_ECLOSED);
}

static void tunnel_ahead(struct http_tunnel *tunnel, char *at, size_t len)
{
    if (len > 0) {
        ws_end_feed(end_of(tunnel), at, len);
    }
}

static void tunnel_drain(struct http_tunnel *tunnel)
{
    ws_end_close(end_of(tunnel), WS_CODE_AWAY, (struct slice){0});
}

static const struct http_tunneler tunneler = {.on_cut = tunnel_cut,
                                              .on_ahead = tunnel_ahead,
                                              .on_drain = tunnel_drain};

/* --- the opening --------------------------------------------------------------------------------
 */

static void refuse(struct http_exchange *exchange, enum ws_opening why)
{
    struct slice text = slice_of(ws_opening_text(why));
    struct http_field fields[] = {
        {.name = SLICE("Content-Type"), .value = SLICE("text/plain"), .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("Sec-WebSocket-Version"), .value = SLICE("13")},
    };
    const struct http_head head = {.status = (uint16_t)ws_opening_status(why),
                                   .framing = HTTP_LENGTH,
                                   .content_length = text.len,
                                   .version_minor = 1,
                                   .keep_alive = true,
                                   .field_count = 2,
                                   .fields = fields};
    exchange->user = NULL;
    exchange->ops->respond(exchange, &head);
    exchange->ops->body(exchange, text.at, text.len);
    exchange->ops->end(exchange, NULL);
    exchange->ops->flush(exchange);
}

static void begin(struct echo *echo, struct slice key)
{
    char accept[WS_ACCEPT_LEN], text[ANSWER_SIZE_MAX];
    ws_accept_of(key, accept);
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                       (int)sizeof accept, accept);
    ws_end_open(&echo->end, &echo->home->desk, echo->tunnel.stream, true, NULL);
    ws_end_raw(&echo->end, text, (size_t)len); /* what fails here, ends it in an event */
}

bool demo_websocket_take(struct demo_websocket *echoes, struct http_exchange *exchange,
                         const struct http_head *head)
{
    struct slice key;
    enum ws_opening opening = ws_judge_request(head, &key);
    if (opening != WS_OPENING_FINE) {
        refuse(exchange, opening);
        return true;
    }
    struct echo *echo = calloc(1, sizeof *echo);
    struct bytes none; /* what was sent ahead comes to on_ahead */
    if (echo == NULL) {
        return false;
    }
    echo->home = echoes;
    echo->tunnel.taker = &tunneler;
    if (!ws_end_prepare(&echo->end, &echoes->desk)) {
        free(echo);
        return false;
    }
    if (exchange->ops->tunnel(exchange, &echo->tunnel, &none) != 0) {
        ws_end_forget(&echo->end);
        free(echo);
        return false;
    }
    bytes_fini(&none);
    begin(echo, key);
    return true;
}

/* --- opening and closing ------------------------------------------------------------------------
 */

int demo_websocket_open(struct loop *loop, struct demo_websocket **ret_echoes)
{
    static const struct ws_limits limits = {
        .message_bytes_max = MESSAGE_MAX,
        .fragments_max = FRAGMENTS_MAX,
        .unsent_max = UNSENT_MAX,
        .deflate_min = UINT32_MAX,
        .ping_interval_ms = PING_MS,
        .pong_timeout_ms = PATIENCE_MS,
        .silence_ms = WEIR_NEVER,
        .write_timeout_ms = PATIENCE_MS,
        .close_timeout_ms = PATIENCE_MS,
    };
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        return -EIO;
    }
    struct demo_websocket *echoes = calloc(1, sizeof *echoes);
    if (echoes == NULL) {
        return -ENOMEM;
    }
    echoes->loop = loop;
    echoes->bury.run = bury;
    ws_desk_init(&echoes->desk, loop, &alloc_libc, &end_ops, &limits, seed);
    *ret_echoes = echoes;
    return 0;
}

void demo_websocket_close(struct demo_websocket *take_echoes)
{
    if (take_echoes == NULL) {
        return;
    }
    loop_later_cancel(take_echoes->loop, &take_echoes->bury);
    bury(&take_echoes->bury);
    ws_desk_fini(&take_echoes->desk);
    free(take_echoes);
}
