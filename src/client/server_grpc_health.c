/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.health.v1.Health at a server: a service like the program's own, made of the same functions.
 * What is said lies under the server's mutex; who watches, at the stall of the call.
 */
#include "base/alloc.h"
#include "client/server.h"
#include "proto/grpc_health.h"

#include <string.h>

#define NAME_MAX_BYTES 255U

struct watcher {
    struct node on_stall;
    struct weir_exchange *call;
    enum grpc_serving told; /* 0: nothing yet */
    char name[NAME_MAX_BYTES + 1];
};

/* --- what is said -------------------------------------------------------------------------------
 */

void health_open(struct weir_server *server)
{
    static char whole[1];
    server->services[0] = (struct service_health){.name = whole, .state = WEIR_ON};
    server->services_count = 1;
}

void health_fini(struct weir_server *server)
{
    for (uint32_t i = 1; i < server->services_count; i++) {
        alloc_free(server->alloc, server->services[i].name);
    }
    server->services_count = 0;
}

/* Under the mutex. */
static struct service_health *find(struct weir_server *server, const char *name)
{
    for (uint32_t i = 0; i < server->services_count; i++) {
        if (strcmp(server->services[i].name, name) == 0) {
            return &server->services[i];
        }
    }
    return NULL;
}

static enum grpc_serving serving_of(struct stall *stall, const char *name)
{
    struct weir_server *server = stall->server;
    pthread_mutex_lock(&server->mutex);
    const struct service_health *it = find(server, name);
    uint32_t state = it != NULL ? it->state : 0;
    pthread_mutex_unlock(&server->mutex);
    if (state == 0) {
        return GRPC_SERVICE_UNKNOWN;
    }
    return state == WEIR_ON && !stall->is_closing ? GRPC_SERVING : GRPC_NOT_SERVING;
}

static weir_err remember(struct weir_server *server, const char *name, uint32_t state)
{
    if (server->services_count > SERVER_SERVICES_MAX) {
        return WEIR_EFULL;
    }
    size_t size = strlen(name) + 1;
    char *own = alloc_new(server->alloc, size);
    if (own == NULL) {
        return WEIR_ENOMEM;
    }
    memcpy(own, name, size);
    server->services[server->services_count++] = (struct service_health){own, state};
    return WEIR_OK;
}

/* The server's own stays, whatever is said of it. */
static void forget(struct weir_server *server, struct service_health *it)
{
    it->state = 0;
    if (it != server->services) {
        alloc_free(server->alloc, it->name);
        *it = server->services[--server->services_count];
    }
}

weir_err weir_grpc_health_set(weir_server *server, const char *service, uint32_t state)
{
    weir_err err = WEIR_OK;
    if (state != 0 && state != WEIR_ON && state != WEIR_OFF) {
        return ground_fault(WEIR_EINVAL, "state");
    }
    if (strlen(service) > NAME_MAX_BYTES) {
        return ground_fault(WEIR_EINVAL, "service");
    }
    pthread_mutex_lock(&server->mutex);
    struct service_health *it = find(server, service);
    if (it == NULL && state != 0) {
        err = remember(server, service, state);
    } else if (it != NULL && state == 0) {
        forget(server, it);
    } else if (it != NULL) {
        it->state = state;
    }
    pthread_mutex_unlock(&server->mutex);
    for (uint32_t i = 0; err == WEIR_OK && i < server->stalls_count; i++) {
        worker_note(server->stalls[i].worker, &server->stalls[i].health_changed);
    }
    return err;
}

/* The service that is asked about. False: it is no such message. */
static bool read_request(const void *message, size_t len, char ret_name[NAME_MAX_BYTES + 1])
{
    struct slice name;
    return grpc_health_read_message(message, len, &name)
           && slice_copy(ret_name, NAME_MAX_BYTES + 1, name) <= NAME_MAX_BYTES;
}

static weir_err answer(weir_exchange *call, enum grpc_serving serving)
{
    uint8_t reply[GRPC_HEALTH_REPLY];
    grpc_health_write(serving, reply);
    return weir_grpc_answer(call, reply + GRPC_PREFIX, sizeof reply - GRPC_PREFIX);
}

/* --- Check --------------------------------------------------------------------------------------
 */

static void check_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    struct stall *stall = self;
    char name[NAME_MAX_BYTES + 1];
    if (!read_request(message, len, name)) {
        weir_grpc_end(call, WEIR_GRPC_INVALID_ARGUMENT, "not a HealthCheckRequest", NULL, 0);
        return;
    }
    enum grpc_serving serving = serving_of(stall, name);
    if (serving == GRPC_SERVICE_UNKNOWN) {
        weir_grpc_end(call, WEIR_GRPC_NOT_FOUND, "there is no such service", NULL, 0);
    } else if (answer(call, serving) == WEIR_OK) {
        weir_grpc_end(call, WEIR_GRPC_OK, NULL, NULL, 0);
    } else {
        weir_grpc_end(call, WEIR_GRPC_RESOURCE_EXHAUSTED, NULL, NULL, 0);
    }
}

static void check_finish(void *self, weir_exchange *call)
{
    (void)self;
    weir_grpc_end(call, WEIR_GRPC_INVALID_ARGUMENT, "no message came", NULL, 0);
}

/* --- Watch --------------------------------------------------------------------------------------
 */

static void tell(struct stall *stall, struct watcher *watcher)
{
    enum grpc_serving serving = serving_of(stall, watcher->name);
    if (serving != watcher->told && answer(watcher->call, serving) == WEIR_OK) {
        watcher->told = serving;
    } /* or when it takes more */
}

static void watch_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    struct stall *stall = self;
    if (weir_exchange_user(call) != NULL) {
        return; /* it has asked */
    }
    struct watcher *watcher = alloc_zeroed(stall->server->alloc, sizeof *watcher);
    if (watcher == NULL) {
        weir_grpc_end(call, WEIR_GRPC_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
        return;
    }
    if (!read_request(message, len, watcher->name)) {
        alloc_free(stall->server->alloc, watcher);
        weir_grpc_end(call, WEIR_GRPC_INVALID_ARGUMENT, "not a HealthCheckRequest", NULL, 0);
        return;
    }
    watcher->call = call;
    list_push_back(&stall->watchers, &watcher->on_stall);
    weir_exchange_set_user(call, watcher);
    tell(stall, watcher);
}

static void watch_finish(void *self, weir_exchange *call)
{
    if (weir_exchange_user(call) == NULL) {
        check_finish(self, call);
    }
}

static void watch_writable(void *self, weir_exchange *call)
{
    struct watcher *watcher = weir_exchange_user(call);
    if (watcher != NULL) {
        tell(self, watcher);
    }
}

static void unwatch(struct stall *stall, struct watcher *watcher)
{
    list_remove(&stall->watchers, &watcher->on_stall);
    alloc_free(stall->server->alloc, watcher);
}

static void watch_abort(void *self, weir_exchange *call, weir_err why)
{
    struct watcher *watcher = weir_exchange_user(call);
    (void)why;
    if (watcher != NULL) {
        unwatch(self, watcher);
    }
}

static struct watcher *watcher_at(struct node *node)
{
    return container_of(node, struct watcher, on_stall);
}

void health_changed(struct worker_note *note)
{
    struct stall *stall = container_of(note, struct stall, health_changed);
    weir_list_each_safe(node, &stall->watchers) {
        tell(stall, watcher_at(node));
    }
}

void health_close(struct stall *stall)
{
    stall->is_closing = true;
    while (!list_is_empty(&stall->watchers)) {
        struct watcher *watcher = watcher_at(list_first(&stall->watchers));
        weir_exchange *call = watcher->call;
        tell(stall, watcher);
        unwatch(stall, watcher);
        weir_grpc_end(call, WEIR_GRPC_UNAVAILABLE, "the server closes", NULL, 0);
    }
}

const weir_grpc_method health_methods[2] = {
    {.path = "/grpc.health.v1.Health/Check",
     .on_message = check_message,
     .on_finish = check_finish},
    {.path = "/grpc.health.v1.Health/Watch",
     .on_message = watch_message,
     .on_finish = watch_finish,
     .on_writable = watch_writable,
     .on_abort = watch_abort},
};
