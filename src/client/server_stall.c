/* SPDX-License-Identifier: Apache-2.0
 *
 * A stall: a server at one worker. Its front brings the clients, and a reader for each version of
 * HTTP has them in the stall's one pool, and tells their requests to the same handler.
 */
#include "base/check.h"
#include "client/server.h"

#include <errno.h>

#define CLOSING_STEPS_MAX 1000000U /* each closes something, so there is an end */

/* --- opening ------------------------------------------------------------------------------------
 */

static struct http1_listener_options http1_options(struct stall *stall)
{
    const weir_server_options *opt = &stall->server->opt;
    return (struct http1_listener_options){
        .name = stall->server->member.name,
        .max_connections = opt->max_connections,
        .headers_timeout_ms = opt->headers_timeout_ms,
        .request_timeout_ms = opt->request_timeout_ms,
        .min_rate = opt->min_rate,
        .idle_timeout_ms = opt->idle_timeout_ms,
        .answer_timeout_ms = opt->answer_timeout_ms,
        .keepalive_timeout_ms = opt->keepalive_timeout_ms,
        .write_timeout_ms = opt->write_timeout_ms,
        .max_header_bytes = opt->max_header_bytes,
        .max_headers = opt->max_headers,
        .on_full = server_on_full,
        .refuse_self = stall,
        .front = stall->front,
    };
}

static struct http2_listener_options http2_options(struct stall *stall)
{
    const weir_server_options *opt = &stall->server->opt;
    return (struct http2_listener_options){
        .front = stall->front,
        .name = stall->server->member.name,
        .headers_timeout_ms = opt->headers_timeout_ms,
        .request_timeout_ms = opt->request_timeout_ms,
        .min_rate = opt->min_rate,
        .idle_timeout_ms = opt->idle_timeout_ms,
        .answer_timeout_ms = opt->answer_timeout_ms,
        .keepalive_timeout_ms = opt->keepalive_timeout_ms,
        .write_timeout_ms = opt->write_timeout_ms,
        .max_headers = opt->max_headers,
        .max_header_list_size = opt->max_header_bytes,
        .max_concurrent_streams = opt->max_concurrent_streams,
        .max_session_memory = opt->max_session_memory,
        .ping_interval_ms = opt->ping_interval_ms,
        .websocket = true,
        .on_full = server_on_full,
        .refuse_self = stall,
    };
}

/* As a worker, to another one. */
static bool post_to(void *self, uint32_t worker, void (*run)(void *arg, uint64_t value), void *arg,
                    uint64_t value)
{
    struct weir_server *server = self;
    return worker_post(server->stalls[worker].worker, run, arg, value);
}

static int open_tls(struct stall *stall)
{
    const struct weir_server *server = stall->server;
    if (server->papers.profile == NULL) {
        return 0;
    }
    int error = tls_desk_new(stall->loop, &stall->desk);
    return error != 0 ? error
                      : tls_server_new(stall->desk, server->papers.profile, server->papers.tickets,
                                       &stall->tls);
}

static int open_front(struct stall *stall)
{
    const weir_server_options *opt = &stall->server->opt;
    const struct front_options front = {
        .name = stall->server->member.name,
        .engine = worker_engine(stall->worker),
        .max_connections = opt->max_connections,
        .desk = stall->desk,
        .tls = stall->tls,
        .tls_timeout_ms = opt->tls.handshake_timeout_ms,
    };
    int error = front_new(stall->loop, &front, &stall->front);
    if (error == 0) {
        stall->pool = front_pool(stall->front);
        weir_pool_on_event(stall->pool, server_on_event, stall, 0);
    }
    return error;
}

static int open_readers(struct stall *stall)
{
    const struct http1_listener_options http1 = http1_options(stall);
    const struct http2_listener_options http2 = http2_options(stall);
    int error = http1_listener_new(stall->loop, worker_engine(stall->worker), &http1,
                                   &server_handler, stall, &stall->http1);
    if (error == 0 && stall->server->opt.http2 == WEIR_ON) {
        error = http2_listener_new(stall->loop, stall->pool, &http2, &server_handler, stall,
                                   &stall->http2);
    }
    return error;
}

static int accept_clients(struct stall *stall)
{
    struct weir_server *server = stall->server;
    const struct front_reader http1 = http1_listener_reader(stall->http1);
    struct front_reader http2 = {0};
    if (stall->http2 != NULL) {
        http2 = http2_listener_reader(stall->http2);
    }
    front_read_with(stall->front, &http1, stall->http2 != NULL ? &http2 : NULL);
    return front_accept(stall->front, server->port, worker_index(stall->worker), post_to, server);
}

void stall_open(struct stall *stall, void *ret_error)
{
    int error = open_tls(stall);
    if (error == 0) {
        error = open_front(stall);
    }
    if (error == 0) {
        error = open_readers(stall);
    }
    if (error == 0) {
        error = accept_clients(stall);
    }
    stall->is_open = error == 0;
    *(int *)ret_error = error;
}

/* --- while it is open ---------------------------------------------------------------------------
 */

void stall_update(struct worker_note *note)
{
    struct stall *stall = container_of(note, struct stall, update);
    if (!stall->is_open) {
        return;
    }
    pthread_mutex_lock(&stall->server->mutex);
    const struct http1_listener_options http1 = http1_options(stall);
    const struct http2_listener_options http2 = http2_options(stall);
    pthread_mutex_unlock(&stall->server->mutex);
    int error = http1_listener_update(stall->http1, &http1);
    if (error == 0 && stall->http2 != NULL) {
        error = http2_listener_update(stall->http2, &http2);
    }
    check(error == 0); /* the options were looked at */
}

bool stall_bring(struct stall *stall, int take_fd, const struct address *peer)
{
    if (stall->is_open) {
        front_bring(stall->front, take_fd, peer);
    }
    return stall->is_open;
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void stall_drained(void *arg)
{
    struct weir_server *server = arg;
    if (atomic_fetch_sub(&server->draining, 1) == 1) {
        ground_wait_end(&server->drained);
    }
}

void stall_drain(struct stall *stall, void *grace_ms)
{
    health_close(stall);
    server_ways_drain(stall);
    const struct drain_time time = {.grace_ms = *(const uint32_t *)grace_ms};
    front_drain(stall->front, time, stall_drained, stall->server);
}

static void close_readers(struct stall *stall)
{
    server_ways_cut(stall);
    if (stall->front != NULL) {
        front_shut(stall->front);
    }
    if (stall->http2 != NULL) {
        http2_listener_free(stall->http2);
    }
    if (stall->http1 != NULL) {
        http1_listener_free(stall->http1);
    }
    stall->http1 = NULL;
    stall->http2 = NULL;
}

/* Also of one that was opened in part, or not at all. */
void stall_close(struct stall *stall, void *arg)
{
    (void)arg;
    weir_engine *engine = worker_engine(stall->worker);
    stall->is_open = false;
    close_readers(stall);
    if (stall->front != NULL) {
        front_free(stall->front);
        stall->front = NULL;
    }
    for (uint32_t i = 0; stall->pool != NULL && i < CLOSING_STEPS_MAX; i++) {
        weir_step(engine, loop_now_ms(stall->loop));
    }
    check(stall->pool == NULL && stall->exchanges.count == 0);
    tls_server_free(stall->tls);
    tls_desk_free(stall->desk);
    stall->tls = NULL;
    stall->desk = NULL;
    if (stall->loop != NULL) {
        loop_timer_stop(stall->loop, &stall->look);
    }
}

/* --- looking in ---------------------------------------------------------------------------------
 */

static uint64_t read_at(const void *counters, size_t offset)
{
    const char *at = (const char *)counters + offset;
    return atomic_load_explicit((const _Atomic uint64_t *)(const void *)at, memory_order_relaxed);
}

uint64_t stall_heard(const struct stall *stall, size_t http1_at, size_t http2_at)
{
    uint64_t count = read_at(http1_listener_counters(stall->http1), http1_at);
    return stall->http2 != NULL ? count + read_at(http2_listener_counters(stall->http2), http2_at)
                                : count;
}
