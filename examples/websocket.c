/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket.c - a chat: a server that makes a WebSocket of each request and says to all what one
 * says, and two guests who dial it. A manager keeps each side: at most 1000 connections, pinged
 * every 60 s, each with a name.
 *
 *     websocket
 */
#include <weir/websocket.h>

#include "example.h"

#include <semaphore.h>

static weir_websocket_manager *room, *guests;
static sem_t heard, gone;

/* --- the server ---------------------------------------------------------------------------------
 */

static void said(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                 size_t len)
{
    (void)arg;
    (void)ws;
    weir_websocket_broadcast(room, kind, data, len);
}

static void on_request(void *self, weir_exchange *ex)
{
    static const weir_websocket_handler handler = {.on_message = said};
    weir_websocket ws;
    char name[64];
    weir_text path = weir_request_path(ex);
    (void)self;
    snprintf(name, sizeof name, "guest%.*s", (int)path.len, path.at);
    if (weir_websocket_accept(room, ex, NULL, &handler, NULL, &ws) == WEIR_OK) {
        weir_websocket_add(room, name, ws); /* goes with the connection */
    }
}

/* --- the guests ---------------------------------------------------------------------------------
 */

static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len)
{
    (void)ws;
    (void)kind;
    printf("%s heard %.*s\n", (const char *)arg, (int)len, (const char *)data);
    sem_post(&heard);
}

static void on_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    (void)arg;
    (void)ws;
    (void)opening;
    sem_post(&heard);
}

static void on_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    (void)ws;
    printf("%s is gone: %s, %u\n", (const char *)arg, weir_err_text(end->err), end->code);
    sem_post(&gone);
}

static const weir_websocket_handler guest = {.on_open = on_open,
                                             .on_message = on_message,
                                             .on_close = on_close};

static bool show(void *arg, const char *name, weir_websocket ws)
{
    (void)arg;
    (void)ws;
    printf("%s is there\n", name);
    return true;
}

int main(void)
{
    static const weir_server_handler handler = {.on_request = on_request};
    weir_runtime *runtime;
    weir_server *server;
    weir_websocket ws[2];
    weir_websocket_stats stats;
    char url[2][100];
    static char names[2][4] = {"ann", "bob"};
    sem_init(&heard, 0, 0);
    sem_init(&gone, 0, 0);
    must(weir_runtime_open(&(weir_runtime_options){.workers = 1}, &runtime), "runtime");
    must(weir_websocket_manager_new(runtime, NULL, &room), "room");
    must(weir_websocket_manager_new(runtime, NULL, &guests), "guests");
    must(weir_server_listen(runtime, &(weir_server_options){.address = "127.0.0.1:0"}, &handler,
                            NULL, &server),
         "server");
    for (int i = 0; i < 2; i++) {
        snprintf(url[i], sizeof url[i], "ws://%s/%s", weir_server_address(server), names[i]);
        const weir_websocket_request request = {.url = url[i]};
        must(weir_websocket_dial(guests, &request, &guest, names[i], &ws[i]), url[i]);
        sem_wait(&heard); /* it is open */
    }
    weir_websocket_each_name(room, show, NULL);
    weir_websocket_send(ws[0], WEIR_WEBSOCKET_TEXT, "hello", 5);
    sem_wait(&heard);
    sem_wait(&heard);
    weir_websocket_remove(room, "guest/bob", 1000); /* the server's end of bob */
    sem_wait(&gone);
    weir_websocket_health_check(room);
    weir_websocket_manager_stats(room, &stats);
    printf("accepted %u, at most %u\n", (unsigned)stats.accepted, stats.max);
    must(weir_websocket_manager_free(guests, 1000), "guests");
    must(weir_websocket_manager_free(room, 1000), "room");
    must(weir_server_close(server, 1000), "server");
    must(weir_runtime_close(runtime, 0), "runtime");
    return 0;
}
