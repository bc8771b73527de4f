/* SPDX-License-Identifier: Apache-2.0
 *
 * The server as the program holds it: opening on every worker, changing, closing.
 */
#include "client/server.h"

#include "base/check.h"
#include "io/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERVER_NAME "http"

static const char servers; /* what kind of a member a server is */

static weir_err resolve(const weir_server_options *opt, weir_server_options *ret_opt);
static bool address_of(const char *text, struct address *ret_address);

/* --- asking -------------------------------------------------------------------------------------
 */

struct ask {
    struct worker_note note; /* first */
    struct stall *stall;
    server_ask_fn *fn;
    void *arg;
    struct ground_wait wait;
};

static void ask_runs(struct worker_note *note)
{
    struct ask *ask = container_of(note, struct ask, note);
    ask->fn(ask->stall, ask->arg);
    ground_wait_end(&ask->wait);
}

void server_ask(struct stall *stall, server_ask_fn *fn, void *arg)
{
    struct ask ask = {.note = {.run = ask_runs}, .stall = stall, .fn = fn, .arg = arg};
    ground_wait_init(&ask.wait);
    worker_note(stall->worker, &ask.note);
    ground_wait_for(&ask.wait, stall->server->runtime);
    ground_wait_fini(&ask.wait);
}

static void ask_all(struct weir_server *server, server_ask_fn *fn, void *arg)
{
    for (uint32_t i = 0; i < server->stalls_count; i++) {
        server_ask(&server->stalls[i], fn, arg);
    }
}

static void nothing(struct stall *stall, void *arg)
{
    (void)stall;
    (void)arg;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static uint32_t per_ip_of(const weir_server_options *opt)
{
    return opt->max_per_ip == WEIR_UNLIMITED ? 0 : opt->max_per_ip;
}

static int open_stalls(struct weir_server *server)
{
    int error = 0;
    for (uint32_t i = 0; i < server->stalls_count && error == 0; i++) {
        struct stall *stall = &server->stalls[i];
        if (!slots_init(&stall->exchanges, server->alloc, sizeof(struct weir_exchange),
                        SERVER_EXCHANGES_MAX)) {
            return -ENOMEM;
        }
        server_ask(stall, stall_open, &error);
    }
    return error;
}

static int open_port(struct weir_server *server)
{
    struct accept_options opt = {.max_connections = server->opt.max_connections,
                                 .max_per_ip = per_ip_of(&server->opt),
                                 .counts_addresses = true};
    bool is_address = address_of(server->address_given, &opt.address);
    check(is_address); /* resolve() has read it */
    return accept_port_open(&opt, &server->port);
}

static void print_address(struct weir_server *server)
{
    address_print(accept_port_address(server->port), server->address);
}

static struct weir_server *server_alloc(weir_runtime *runtime, const weir_server_options *opt)
{
    const struct alloc *alloc = ground_alloc(runtime);
    uint32_t stalls = crew_size(ground_crew(runtime));
    struct weir_server *server = alloc_zeroed(alloc,
                                              sizeof *server + stalls * sizeof(struct stall));
    if (server == NULL) {
        return NULL;
    }
    server->runtime = runtime;
    server->alloc = alloc;
    server->opt = *opt;
    server->on_event = opt->on_event;
    server->event_arg = opt->event_arg;
    server->events = opt->events != 0 ? opt->events : UINT32_MAX;
    server->stalls_count = stalls;
    server->body_max = opt->body_max;
    pthread_mutex_init(&server->mutex, NULL);
    ground_wait_init(&server->drained);
    health_open(server);
    for (uint32_t i = 0; i < stalls; i++) {
        server->stalls[i].server = server;
        server->stalls[i].worker = crew_worker(ground_crew(runtime), i);
        server->stalls[i].loop = worker_loop(server->stalls[i].worker);
        server->stalls[i].update.run = stall_update;
        server->stalls[i].health_changed.run = health_changed;
        list_init(&server->stalls[i].watchers);
        list_init(&server->stalls[i].ways);
        server->stalls[i].look.fire = server_look;
    }
    return server;
}

/* After its stalls, which are closed or were never open. */
static void server_release(struct weir_server *server)
{
    for (uint32_t i = 0; i < server->stalls_count; i++) {
        if (server->stalls[i].exchanges.base != NULL) {
            slots_fini(&server->stalls[i].exchanges);
        }
    }
    if (server->port != NULL) {
        accept_port_close(server->port);
    }
    papers_fini(server->alloc, &server->papers);
    health_fini(server);
    alloc_free(server->alloc, server->address_given);
    ground_wait_fini(&server->drained);
    pthread_mutex_destroy(&server->mutex);
    alloc_free(server->alloc, server);
}

static weir_err set_address(struct weir_server *server, const char *address)
{
    size_t size = strlen(address) + 1;
    server->address_given = alloc_new(server->alloc, size);
    if (server->address_given == NULL) {
        return WEIR_ENOMEM;
    }
    memcpy(server->address_given, address, size);
    server->opt.address = server->address;
    return WEIR_OK;
}

static weir_err set_papers(struct weir_server *server, const weir_server_tls_options *opt)
{
    weir_err err = papers_read(server->alloc, opt, server->opt.http2 == WEIR_ON, &server->papers);
    if (err == WEIR_OK) {
        server->opt.tls = server->papers.opt;
    }
    return err;
}

static weir_err open_all(struct weir_server *server)
{
    int error = open_port(server);
    if (error == 0) {
        print_address(server);
        error = open_stalls(server);
    }
    if (error == 0) {
        return WEIR_OK;
    }
    ask_all(server, stall_close, NULL);
    errno = -error;
    return error == -ENOMEM ? WEIR_ENOMEM : WEIR_EIO;
}

static const weir_grpc_service *service_of(const weir_server_handler *handler)
{
    bool has_it = handler->size == 0 || handler->size >= sizeof *handler;
    return has_it ? handler->grpc : NULL;
}

/* The name of what is wrong with it, or NULL. */
static const char *check_handler(const weir_server_handler *handler, const weir_server_options *opt)
{
    const weir_grpc_service *service = service_of(handler);
    if (handler->size > sizeof *handler || (handler->on_request == NULL && service == NULL)) {
        return "on_request";
    }
    if (service != NULL && opt->http2 != WEIR_ON) {
        return "http2";
    }
    return service != NULL ? rpc_check(service) : NULL;
}

weir_err weir_server_listen(weir_runtime *runtime, const weir_server_options *opt,
                            const weir_server_handler *handler, void *self,
                            weir_server **ret_server)
{
    weir_server_options own;
    weir_err err = ground_may_wait(runtime);
    if (err == WEIR_OK) {
        err = resolve(opt, &own);
    }
    const char *fault = err == WEIR_OK ? check_handler(handler, &own) : NULL;
    if (fault != NULL) {
        err = ground_fault(WEIR_EINVAL, fault);
    }
    if (err != WEIR_OK) {
        return err;
    }
    struct weir_server *server = server_alloc(runtime, &own);
    if (server == NULL) {
        return WEIR_ENOMEM;
    }
    server->member.kind = &servers;
    server->handler = handler;
    server->grpc = service_of(handler);
    server->self = self;
    err = set_papers(server, &own.tls);
    if (err == WEIR_OK) {
        err = set_address(server, own.address);
    }
    if (err == WEIR_OK) {
        err = ground_join(runtime, &server->member, own.name, SERVER_NAME);
    }
    if (err != WEIR_OK) {
        server_release(server);
        return err;
    }
    server->opt.name = server->member.name;
    err = open_all(server);
    if (err != WEIR_OK) {
        int error = errno;
        ground_leave(runtime, &server->member);
        server_release(server);
        errno = error;
        return err;
    }
    *ret_server = server;
    return WEIR_OK;
}

/* --- by name ------------------------------------------------------------------------------------
 */

struct sought {
    const char *name;
    struct weir_server *found;
};

static bool seek(void *arg, struct ground_member *member)
{
    struct sought *sought = arg;
    if (strcmp(member->name, sought->name) == 0) {
        sought->found = container_of(member, struct weir_server, member);
    }
    return sought->found == NULL;
}

weir_server *weir_server_find(weir_runtime *runtime, const char *name)
{
    struct sought sought = {.name = name};
    ground_each(runtime, &servers, seek, &sought);
    return sought.found;
}

/* Is it what these options, resolved, would open? */
static bool is_like(const struct weir_server *server, const weir_server_options *b,
                    const weir_server_handler *handler, const void *self)
{
    weir_server_options options, *a = &options;
    weir_server_options_of(server, a);
    return server->handler == handler && server->self == self
           && strcmp(server->address_given, b->address) == 0
           && a->max_connections == b->max_connections && a->max_per_ip == b->max_per_ip
           && a->headers_timeout_ms == b->headers_timeout_ms
           && a->request_timeout_ms == b->request_timeout_ms
           && a->idle_timeout_ms == b->idle_timeout_ms
           && a->answer_timeout_ms == b->answer_timeout_ms
           && a->keepalive_timeout_ms == b->keepalive_timeout_ms
           && a->write_timeout_ms == b->write_timeout_ms
           && a->max_header_bytes == b->max_header_bytes && a->max_headers == b->max_headers
           && a->min_rate == b->min_rate && a->body_max == b->body_max && a->on_event == b->on_event
           && a->event_arg == b->event_arg && a->events == b->events && a->http2 == b->http2
           && a->max_concurrent_streams == b->max_concurrent_streams
           && a->max_session_memory == b->max_session_memory
           && a->ping_interval_ms == b->ping_interval_ms && papers_are_like(&a->tls, &b->tls);
}

weir_err weir_server_get(weir_runtime *runtime, const weir_server_options *opt,
                         const weir_server_handler *handler, void *self, weir_server **ret_server)
{
    weir_server_options own;
    weir_err err = resolve(opt, &own);
    if (err != WEIR_OK) {
        return err;
    }
    own.name = own.name != NULL ? own.name : SERVER_NAME;
    weir_server *server = weir_server_find(runtime, own.name);
    if (server == NULL) {
        return weir_server_listen(runtime, &own, handler, self, ret_server);
    }
    if (!is_like(server, &own, handler, self)) {
        return WEIR_EEXISTS;
    }
    *ret_server = server;
    return WEIR_OK;
}

struct all_of_them {
    bool (*fn)(void *arg, weir_server *server, const weir_server_stats *stats);
    void *arg;
};

static bool show_server(void *arg, struct ground_member *member)
{
    const struct all_of_them *all = arg;
    struct weir_server *server = container_of(member, struct weir_server, member);
    weir_server_stats stats;
    weir_server_stats_of(server, &stats);
    return all->fn(all->arg, server, &stats);
}

void weir_runtime_each_server(weir_runtime *runtime,
                              bool (*fn)(void *arg, weir_server *server,
                                         const weir_server_stats *stats),
                              void *arg)
{
    struct all_of_them all = {fn, arg};
    ground_each(runtime, &servers, show_server, &all);
}

/* --- closing ------------------------------------------------------------------------------------
 */

weir_err weir_server_close(weir_server *take_server, uint32_t grace_ms)
{
    struct weir_server *server = take_server;
    if (server == NULL) {
        return WEIR_OK;
    }
    weir_err err = ground_may_wait(server->runtime);
    if (err != WEIR_OK) {
        return err;
    }
    uint32_t grace = grace_ms == WEIR_NONE ? 0 : grace_ms;
    atomic_store(&server->draining, server->stalls_count);
    ask_all(server, stall_drain, &grace);
    accept_port_refuse(server->port);
    ground_wait_for(&server->drained, server->runtime);
    ask_all(server, nothing,
            NULL); /* clients that were handed on by the last to shut have arrived */
    ask_all(server, stall_close, NULL);
    ground_leave(server->runtime, &server->member);
    server_release(server);
    return WEIR_OK;
}

/* --- options ------------------------------------------------------------------------------------
 */

static bool address_of(const char *text, struct address *ret_address)
{
    struct slice all = slice_of(text);
    char host[256];
    uint64_t port;
    if (slice_starts(all, SLICE("unix:"))) {
        return address_of_unix(text + 5, ret_address);
    }
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !text_parse_u64(slice_of(colon + 1), &port) || port > UINT16_MAX) {
        return false;
    }
    struct slice name = slice_sub(all, 0, (uint32_t)(colon - text));
    if (name.len >= 2 && name.at[0] == '[' && name.at[name.len - 1] == ']') {
        name = slice_sub(name, 1, name.len - 1);
    }
    return slice_copy(host, sizeof host, name) < sizeof host
           && address_of_host(host, (uint16_t)port, ret_address);
}

static uint32_t either(uint32_t given, uint32_t otherwise)
{
    return given != 0 ? given : otherwise;
}

/* The name of the first field that is out of range, or NULL. */
static const char *check_numbers(const weir_server_options *opt)
{
    if (opt->max_connections == WEIR_NONE || opt->max_connections > SERVER_EXCHANGES_MAX) {
        return "max_connections";
    }
    if (opt->max_per_ip == WEIR_NONE) {
        return "max_per_ip";
    }
    if (opt->max_header_bytes < 256 || opt->max_header_bytes > 32768) {
        return "max_header_bytes";
    }
    if (opt->max_headers > HTTP_FIELDS_MAX) {
        return "max_headers";
    }
    if (opt->http2 != WEIR_ON && opt->http2 != WEIR_OFF) {
        return "http2";
    }
    if (opt->max_concurrent_streams > INT32_MAX) {
        return "max_concurrent_streams";
    }
    if (opt->max_session_memory < 65536) {
        return "max_session_memory";
    }
    const struct {
        uint32_t value;
        const char *word;
    } times[] = {
        {opt->headers_timeout_ms, "headers_timeout"},
        {opt->request_timeout_ms, "request_timeout"},
        {opt->idle_timeout_ms, "idle_timeout"},
        {opt->answer_timeout_ms, "answer_timeout"},
        {opt->keepalive_timeout_ms, "keepalive_timeout"},
        {opt->write_timeout_ms, "write_timeout"},
        {opt->ping_interval_ms, "ping_interval"},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        if (times[i].value == WEIR_NONE) {
            return times[i].word;
        }
    }
    return NULL;
}

static weir_err resolve(const weir_server_options *opt, weir_server_options *ret_opt)
{
    weir_server_options own = {0};
    struct address address;
    size_t size = opt->size != 0 ? opt->size : sizeof own;
    if (size > sizeof own) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    memcpy(&own, opt, size);
    own.size = sizeof own;
    own.max_connections = either(own.max_connections, 1000);
    own.max_per_ip = either(own.max_per_ip, WEIR_UNLIMITED);
    own.headers_timeout_ms = either(own.headers_timeout_ms, 10000);
    own.request_timeout_ms = either(own.request_timeout_ms, 30000);
    own.idle_timeout_ms = either(own.idle_timeout_ms, 30000);
    own.answer_timeout_ms = either(own.answer_timeout_ms, WEIR_NEVER);
    own.keepalive_timeout_ms = either(own.keepalive_timeout_ms, 5000);
    own.write_timeout_ms = either(own.write_timeout_ms, 30000);
    own.max_header_bytes = either(own.max_header_bytes, 32768);
    own.max_headers = either(own.max_headers, 100);
    own.body_max = own.body_max != 0 ? own.body_max : 1U << 20;
    own.http2 = either(own.http2, WEIR_ON);
    own.max_concurrent_streams = either(own.max_concurrent_streams, 100);
    own.max_session_memory = either(own.max_session_memory, 10U << 20);
    own.ping_interval_ms = either(own.ping_interval_ms, 30000);
    own.tls.min_version = either(own.tls.min_version, 12);
    own.tls.handshake_timeout_ms = either(own.tls.handshake_timeout_ms, TLS_TIMEOUT_MS);
    const char *fault = check_numbers(&own);
    fault = fault != NULL ? fault : papers_check(&own.tls);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    if (own.name != NULL && strlen(own.name) > 48) {
        return ground_fault(WEIR_EINVAL, "name");
    }
    if (own.address == NULL || !address_of(own.address, &address)) {
        return ground_fault(WEIR_EINVAL, "address");
    }
    *ret_opt = own;
    return WEIR_OK;
}

static struct weir_server *writable(const weir_server *server)
{
    return (struct weir_server *)(uintptr_t)server; /* to lock it */
}

void weir_server_options_of(const weir_server *server, weir_server_options *ret_opt)
{
    pthread_mutex_lock(&writable(server)->mutex);
    *ret_opt = server->opt;
    pthread_mutex_unlock(&writable(server)->mutex);
}

/* All workers show the new certificates, or an error is returned and `next` is as it was. */
static weir_err show_papers(struct weir_server *server, const struct papers *next)
{
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < server->stalls_count; i++) {
        error = tls_server_swap(server->stalls[i].tls, next->profile);
    }
    return error == 0 ? WEIR_OK : WEIR_ENOMEM;
}

static weir_err renew_papers(struct weir_server *server, weir_server_tls_options *opt)
{
    struct papers next;
    if ((opt->certificate_count > 0) != (server->papers.profile != NULL)) {
        return ground_fault(WEIR_EINVAL, "tls.certificates");
    }
    if (opt->certificate_count == 0) {
        return WEIR_OK;
    }
    weir_err err = papers_read(server->alloc, opt, server->opt.http2 == WEIR_ON, &next);
    if (err != WEIR_OK) {
        return err;
    }
    next.opt.handshake_timeout_ms = server->papers.opt.handshake_timeout_ms;
    pthread_mutex_lock(&server->mutex);
    err = show_papers(server, &next);
    if (err == WEIR_OK) {
        papers_renew(server->alloc, &server->papers, &next);
    }
    pthread_mutex_unlock(&server->mutex);
    papers_fini(server->alloc, &next);
    return err;
}

weir_err weir_server_update(weir_server *server, const weir_server_options *opt)
{
    weir_server_options own;
    weir_err err = resolve(opt, &own);
    if (err != WEIR_OK) {
        return err;
    }
    if (own.name != NULL && strcmp(own.name, server->member.name) != 0) {
        return ground_fault(WEIR_EINVAL, "name");
    }
    own.http2 = server->opt.http2;
    err = renew_papers(server, &own.tls);
    if (err != WEIR_OK) {
        return err;
    }
    pthread_mutex_lock(&server->mutex);
    own.name = server->opt.name;
    own.address = server->opt.address;
    own.on_event = server->opt.on_event;
    own.event_arg = server->opt.event_arg;
    own.events = server->opt.events;
    own.tls = server->papers.opt;
    server->opt = own;
    server->body_max = own.body_max;
    pthread_mutex_unlock(&server->mutex);
    accept_port_limit(server->port, own.max_connections, per_ip_of(&own));
    for (uint32_t i = 0; i < server->stalls_count; i++) {
        worker_note(server->stalls[i].worker, &server->stalls[i].update);
    }
    if (ground_may_wait(server->runtime) == WEIR_OK) {
        ask_all(server, nothing, NULL); /* notes are read in their order */
    }
    return WEIR_OK;
}

const char *weir_server_address(const weir_server *server)
{
    return server->address;
}

uint16_t weir_server_port(const weir_server *server)
{
    return address_port(accept_port_address(server->port));
}

/* --- its connections ----------------------------------------------------------------------------
 */

uint32_t weir_server_count(const weir_server *server)
{
    return accept_port_taken(server->port);
}

bool weir_server_can_accept(const weir_server *server)
{
    pthread_mutex_lock(&writable(server)->mutex);
    uint32_t most = server->opt.max_connections;
    pthread_mutex_unlock(&writable(server)->mutex);
    return weir_server_count(server) < most;
}

/* A small thing to be done at a stall, which nobody waits for. */
struct errand {
    struct worker_note note; /* first */
    struct stall *stall;
    int fd;
    weir_conn conn;
    uint32_t grace_ms;
};

static weir_err errand_send(struct stall *stall, void (*run)(struct worker_note *note),
                            struct errand errand)
{
    struct errand *own = alloc_new(stall->server->alloc, sizeof *own);
    if (own == NULL) {
        return WEIR_ENOMEM;
    }
    *own = errand;
    own->note = (struct worker_note){.run = run};
    own->stall = stall;
    worker_note(stall->worker, &own->note);
    return WEIR_OK;
}

static void bring(struct worker_note *note)
{
    struct errand *errand = container_of(note, struct errand, note);
    struct stall *stall = errand->stall;
    struct address peer = {.len = sizeof peer.local};
    if (getpeername(errand->fd, &peer.any, &peer.len) != 0) {
        peer = (struct address){0};
    }
    if (!stall_bring(stall, errand->fd, &peer)) {
        close(errand->fd);
    }
    alloc_free(stall->server->alloc, errand);
}

weir_err weir_server_adopt(weir_server *server, int take_fd)
{
    if (!weir_server_can_accept(server)) {
        return WEIR_EFULL;
    }
    int flags = fcntl(take_fd, F_GETFL);
    if (flags < 0 || fcntl(take_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return ground_fault(WEIR_EINVAL, "fd");
    }
    return errand_send(&server->stalls[0], bring, (struct errand){.fd = take_fd});
}

static void retire(struct worker_note *note)
{
    struct errand *errand = container_of(note, struct errand, note);
    struct stall *stall = errand->stall;
    if (stall->pool != NULL) {
        weir_conn_retire(stall->pool, errand->conn, WEIR_ERETIRED);
    }
    alloc_free(stall->server->alloc, errand);
}

weir_err weir_server_remove(weir_server *server, weir_server_conn conn)
{
    if (conn.worker >= server->stalls_count) {
        return ground_fault(WEIR_EINVAL, "worker");
    }
    return errand_send(&server->stalls[conn.worker], retire, (struct errand){.conn = conn.conn});
}

static void flush(struct worker_note *note)
{
    struct errand *errand = container_of(note, struct errand, note);
    struct stall *stall = errand->stall;
    if (stall->pool != NULL) {
        weir_pool_flush(stall->pool, NULL, errand->grace_ms);
    }
    alloc_free(stall->server->alloc, errand);
}

weir_err weir_server_remove_all(weir_server *server, uint32_t grace_ms)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < server->stalls_count && err == WEIR_OK; i++) {
        err = errand_send(&server->stalls[i], flush,
                          (struct errand){.grace_ms = grace_ms == WEIR_NONE ? 0 : grace_ms});
    }
    return err;
}

struct showing {
    bool (*fn)(void *arg, weir_server_conn conn, const weir_conn_info *info);
    void *arg;
    uint32_t worker;
    bool is_over;
};

static bool show(void *arg, const weir_conn_info *info)
{
    struct showing *showing = arg;
    weir_conn_info own = *info;
    own.object = NULL;
    const weir_server_conn conn = {.worker = showing->worker, .conn = info->conn};
    showing->is_over = !showing->fn(showing->arg, conn, &own);
    return !showing->is_over;
}

static void stall_show(struct stall *stall, void *arg)
{
    struct showing *showing = arg;
    showing->worker = worker_index(stall->worker);
    weir_pool_each(stall->pool, show, showing);
}

weir_err weir_server_each(weir_server *server,
                          bool (*fn)(void *arg, weir_server_conn conn, const weir_conn_info *info),
                          void *arg)
{
    struct showing showing = {.fn = fn, .arg = arg};
    weir_err err = ground_may_wait(server->runtime);
    for (uint32_t i = 0; i < server->stalls_count && err == WEIR_OK && !showing.is_over; i++) {
        server_ask(&server->stalls[i], stall_show, &showing);
    }
    return err;
}

struct looking {
    weir_conn conn;
    bool is_healthy;
};

static bool look_at(void *arg, const weir_conn_info *info)
{
    struct looking *looking = arg;
    if (info->conn.id != looking->conn.id) {
        return true;
    }
    looking->is_healthy = info->state != WEIR_CLOSING && !info->retiring;
    return false;
}

static void stall_look_for(struct stall *stall, void *arg)
{
    weir_pool_each(stall->pool, look_at, arg);
}

weir_err weir_server_is_healthy(weir_server *server, weir_server_conn conn, bool *ret_healthy)
{
    struct looking looking = {.conn = conn.conn};
    weir_err err = ground_may_wait(server->runtime);
    if (err == WEIR_OK && conn.worker >= server->stalls_count) {
        err = ground_fault(WEIR_EINVAL, "worker");
    }
    if (err == WEIR_OK) {
        server_ask(&server->stalls[conn.worker], stall_look_for, &looking);
        *ret_healthy = looking.is_healthy;
    }
    return err;
}
