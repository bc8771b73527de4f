/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket.c - a chat: a server that makes a WebSocket of each request and says to all what one
 * says, and two guests who dial it. A manager keeps each side; those that came have names.
 */
#include <weir/websocket.h>

#include "example.h"

#include <semaphore.h>

static weir_websocket_manager *room, *guests;
static sem_t told;

static void said(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                 size_t len)
{
    (void)arg, (void)ws;
    weir_websocket_broadcast(room, kind, data, len); /* who does not keep up misses some */
}

static void on_request(void *self, weir_exchange *ex)
{
    static const weir_websocket_handler handler = {.on_message = said};
    weir_websocket ws;
    weir_text path = weir_request_path(ex);
    char *name = strndup(path.at + 1, path.len - 1);
    (void)self;
    if (weir_websocket_accept(room, ex, NULL, &handler, NULL, &ws) == WEIR_OK) {
        weir_websocket_add(room, name, ws); /* it goes with the connection */
        weir_websocket_send(ws, WEIR_WEBSOCKET_TEXT, "welcome", 7);
    }
    free(name);
}

static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len)
{
    (void)ws, (void)kind;
    printf("%s heard %.*s\n", (const char *)arg, (int)len, (const char *)data);
    sem_post(&told);
}

static const weir_server_handler handler = {.on_request = on_request};
static const weir_websocket_handler guest = {.on_message = on_message};

int main(void)
{
    static char names[2][4] = {"ann", "bob"}, url[100];
    weir_runtime *runtime;
    weir_server *server;
    weir_websocket ws[2];
    weir_websocket_stats stats;
    sem_init(&told, 0, 0);
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_websocket_manager_new(runtime, NULL, &room), "room");
    must(weir_websocket_manager_new(runtime, NULL, &guests), "guests");
    const weir_server_options opt = {.address = "127.0.0.1:0"};
    must(weir_server_listen(runtime, &opt, &handler, NULL, &server), "server");
    for (int i = 0; i < 2; i++) {
        snprintf(url, sizeof url, "ws://%s/%s", weir_server_address(server), names[i]);
        const weir_websocket_request request = {.url = url};
        must(weir_websocket_dial(guests, &request, &guest, names[i], &ws[i]), url);
        sem_wait(&told);
    }
    weir_websocket_send(ws[0], WEIR_WEBSOCKET_TEXT, "hello", 5);
    sem_wait(&told), sem_wait(&told);
    must(weir_websocket_get(room, "bob", &ws[1]), "bob"); /* the room's end of him */
    weir_websocket_manager_stats(room, &stats);
    printf("%u are there, at most %u\n", stats.open, stats.max);
    weir_websocket_manager_free(guests, 1000);
    weir_websocket_manager_free(room, 1000);
    weir_server_close(server, 1000);
    return (int)weir_runtime_close(runtime, 0);
}
