/* SPDX-License-Identifier: Apache-2.0 */
#include "io/socket.h"

#include "io/listen.h"
#include "support/turns.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MANY        5000U
#define DESCRIPTORS (2 * MANY + 200)

/* One end of a connection, and what it has seen. */
struct end {
    struct stream *stream;
    struct loop *loop;
    uint32_t ready, bytes, echo;
    unsigned events;
    ssize_t last; /* of read() */
};

static void on_ready(struct stream *stream, unsigned events)
{
    struct end *end = stream->owner;
    size_t cap;
    char *buffer = loop_buffer(end->loop, &cap);
    end->ready++;
    end->events |= events;
    if (!(events & STREAM_READ)) {
        return;
    }
    end->last = stream_read(stream, buffer, cap);
    if (end->last > 0) {
        end->bytes += (uint32_t)end->last;
        if (end->echo) {
            struct iovec part = {.iov_base = buffer, .iov_len = (size_t)end->last};
            assert_int_equal(stream_writev(stream, &part, 1), end->last);
        }
    } else {
        stream_want(stream, 0);
    }
}

static void end_init(struct end *end, struct loop *loop, struct stream *stream)
{
    *end = (struct end){.stream = stream, .loop = loop};
    stream->owner = end;
    stream->on_ready = on_ready;
    stream_want(stream, STREAM_READ);
}

/* Two ends of one connection on one loop. */
struct couple {
    struct loop *loop;
    struct end a, b;
};

static void couple_init(struct couple *couple)
{
    int fds[2];
    struct stream *a, *b;
    assert_int_equal(loop_new(NULL, &couple->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(socket_adopt(couple->loop, fds[0], &a), 0);
    assert_int_equal(socket_adopt(couple->loop, fds[1], &b), 0);
    end_init(&couple->a, couple->loop, a);
    end_init(&couple->b, couple->loop, b);
}

static void couple_fini(struct couple *couple)
{
    if (couple->a.stream != NULL) {
        stream_close(couple->a.stream);
    }
    if (couple->b.stream != NULL) {
        stream_close(couple->b.stream);
    }
    loop_free(couple->loop);
}

static ssize_t say(struct end *end, const char *text)
{
    size_t half = strlen(text) / 2;
    struct iovec parts[2] = {
        {.iov_base = (char *)(uintptr_t)text, .iov_len = half},
        {.iov_base = (char *)(uintptr_t)text + half, .iov_len = strlen(text) - half}};
    return stream_writev(end->stream, parts, 2);
}

static void what_one_end_writes_the_other_reads(void **state)
{
    (void)state;
    struct couple couple;
    couple_init(&couple);
    couple.b.echo = 1;
    assert_int_equal(say(&couple.a, "hello"), 5);
    turn_until(couple.loop, couple.a.bytes == 5);
    assert_int_equal(couple.b.ready, 1);
    assert_int_equal(stream_shutdown(couple.a.stream), 0);
    turn_until(couple.loop, couple.b.ready == 2);
    assert_int_equal(couple.b.last, 0); /* the end of the stream */
    couple_fini(&couple);
}

static void nothing_is_heard_that_is_not_wanted(void **state)
{
    (void)state;
    struct couple couple;
    couple_init(&couple);
    stream_want(couple.b.stream, 0);
    say(&couple.a, "hello");
    loop_turn(couple.loop, 0);
    loop_turn(couple.loop, 0);
    assert_int_equal(couple.b.ready, 0);
    stream_want(couple.b.stream, STREAM_READ); /* level-triggered: it is still there */
    turn_until(couple.loop, couple.b.bytes == 5);
    couple_fini(&couple);
}

static void a_full_socket_says_so_and_tells_when_it_has_room(void **state)
{
    (void)state;
    struct couple couple;
    couple_init(&couple);
    static char block[65536];
    struct iovec part = {.iov_base = block, .iov_len = sizeof block};
    uint32_t sent = 0;
    ssize_t got;
    stream_want(couple.b.stream, 0);
    while ((got = stream_writev(couple.a.stream, &part, 1)) > 0) {
        sent += (uint32_t)got;
    }
    assert_int_equal(got, -EAGAIN);
    stream_want(couple.a.stream, STREAM_READ | STREAM_WRITE);
    loop_turn(couple.loop, 0);
    assert_int_equal(couple.a.events, 0);
    stream_want(couple.b.stream, STREAM_READ);
    turn_until(couple.loop, couple.b.bytes == sent && couple.a.events == STREAM_WRITE);
    couple_fini(&couple);
}

static void on_ready_closes_both(struct stream *stream, unsigned events)
{
    struct couple *couple = stream->owner;
    (void)events;
    stream_close(couple->a.stream);
    stream_close(couple->b.stream);
    couple->a.stream = couple->b.stream = NULL;
}

static void nothing_calls_back_after_close(void **state)
{
    (void)state;
    struct couple couple;
    couple_init(&couple);
    say(&couple.a, "x");
    say(&couple.b, "x"); /* both are ready in the same turn; the first closes both */
    couple.a.stream->owner = couple.b.stream->owner = &couple;
    couple.a.stream->on_ready = couple.b.stream->on_ready = on_ready_closes_both;
    turn_until(couple.loop, couple.a.stream == NULL);
    loop_turn(couple.loop, 0);
    couple_fini(&couple);
}

static void on_ready_hushes_the_other(struct stream *stream, unsigned events)
{
    struct couple *couple = stream->owner;
    struct end *end = stream == couple->a.stream ? &couple->a : &couple->b;
    struct end *other = end == &couple->a ? &couple->b : &couple->a;
    (void)events;
    end->ready++;
    stream_want(other->stream, 0);
    stream_want(stream, 0);
}

static void what_is_not_wanted_any_more_is_not_heard_in_the_same_turn(void **state)
{
    (void)state;
    struct couple couple;
    couple_init(&couple);
    say(&couple.a, "x");
    say(&couple.b, "x");
    couple.a.stream->owner = couple.b.stream->owner = &couple;
    couple.a.stream->on_ready = couple.b.stream->on_ready = on_ready_hushes_the_other;
    turn_until(couple.loop, couple.a.ready + couple.b.ready > 0);
    loop_turn(couple.loop, 0);
    assert_int_equal(couple.a.ready + couple.b.ready, 1);
    couple_fini(&couple);
}

#define MESSAGES 1000U

static void a_message_allocates_nothing(void **state)
{
    (void)state;
    struct alloc_count count;
    alloc_count_init(&count, &alloc_libc);
    struct loop_options opt = {.alloc = &count.hooks};
    struct loop *loop;
    struct stream *a, *b;
    struct end ends[2];
    int fds[2];
    assert_int_equal(loop_new(&opt, &loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(socket_adopt(loop, fds[0], &a), 0);
    assert_int_equal(socket_adopt(loop, fds[1], &b), 0);
    end_init(&ends[0], loop, a);
    end_init(&ends[1], loop, b);
    ends[1].echo = 1;
    uint64_t calls = count.calls;
    for (uint32_t i = 1; i <= MESSAGES; i++) {
        assert_int_equal(say(&ends[0], "ping"), 4);
        turn_until(loop, ends[0].bytes == 4 * i);
    }
    assert_int_equal(count.calls, calls);
    assert_int_equal(ends[0].ready, MESSAGES); /* and nobody was woken for nothing */
    assert_int_equal(ends[1].ready, MESSAGES);
    stream_close(a);
    stream_close(b);
    loop_turn(loop, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(socket_adopt(loop, fds[0], &a), 0);
    assert_int_equal(count.calls, calls); /* a closed socket's memory serves the next one */
    stream_close(a);
    close(fds[1]);
    loop_free(loop);
    assert_int_equal(count.out, 0);
}

static void detached_it_lives_on_in_another_loop(void **state)
{
    (void)state;
    struct couple couple;
    struct loop *other;
    struct end moved;
    struct stream *stream;
    couple_init(&couple);
    assert_int_equal(loop_new(NULL, &other), 0);
    say(&couple.b, "early");
    int fd = socket_detach(couple.a.stream);
    couple.a.stream = NULL;
    assert_int_equal(socket_adopt(other, fd, &stream), 0);
    end_init(&moved, other, stream);
    turn_until(other, moved.bytes == 5);
    assert_int_equal(couple.a.ready, 0);
    stream_close(moved.stream);
    loop_free(other);
    turn_until(couple.loop, couple.b.ready > 0);
    assert_int_equal(couple.b.last, 0);
    couple_fini(&couple);
}

static void a_dirty_connection_shows(void **state)
{
    (void)state;
    struct couple couple;
    couple_init(&couple);
    assert_false(socket_is_dirty(couple.a.stream));
    say(&couple.b, "surplus");
    assert_true(socket_is_dirty(couple.a.stream));
    turn_until(couple.loop, couple.a.bytes == 7);
    assert_false(socket_is_dirty(couple.a.stream));
    stream_close(couple.b.stream);
    couple.b.stream = NULL;
    assert_true(socket_is_dirty(couple.a.stream));
    couple_fini(&couple);
}

/* --- TCP ----------------------------------------------------------------------------------------
 */

struct server {
    struct loop *loop;
    struct intake *intake;
    int fd;
    struct address address;
    struct end *ends;
    uint32_t count, trouble;
    struct address peer; /* of the last client */
};

static void on_accept(void *self, int take_fd, const struct address *peer)
{
    struct server *server = self;
    struct stream *stream;
    assert_int_equal(socket_adopt(server->loop, take_fd, &stream), 0);
    end_init(&server->ends[server->count], server->loop, stream);
    server->ends[server->count++].echo = 1;
    server->peer = *peer;
}

static void on_trouble(void *self, int error)
{
    struct server *server = self;
    assert_int_equal(error, -EMFILE);
    server->trouble++;
}

static void server_init_with(struct server *server, const char *host, uint32_t clients_max,
                             uint32_t reserve)
{
    struct address any;
    assert_true(address_of_host(host, 0, &any));
    *server = (struct server){.ends = calloc(clients_max, sizeof *server->ends)};
    assert_int_equal(loop_new(NULL, &server->loop), 0);
    assert_int_equal(listen_open(&any, NULL, &server->fd, &server->address), 0);
    struct intake_options opt = {.fd = server->fd,
                                 .on_accept = on_accept,
                                 .on_trouble = on_trouble,
                                 .self = server,
                                 .retry_ms = 20,
                                 .reserve = reserve};
    assert_int_equal(intake_open(server->loop, &opt, &server->intake), 0);
}

static void server_init(struct server *server, const char *host, uint32_t clients_max)
{
    server_init_with(server, host, clients_max, 0);
}

static void server_fini(struct server *server)
{
    for (uint32_t i = 0; i < server->count; i++) {
        stream_close(server->ends[i].stream);
    }
    intake_close(server->intake);
    listen_close(server->fd);
    loop_free(server->loop);
    free(server->ends);
}

struct client {
    struct end end;
    int error;
    bool is_connected;
};

static void on_connect(struct stream *stream, unsigned events)
{
    struct client *client = stream->owner;
    (void)events;
    client->error = socket_connected(stream);
    if (client->error == -EINPROGRESS) {
        return;
    }
    client->is_connected = true;
    stream_want(stream, 0);
}

static void client_init(struct client *client, struct loop *loop, const struct address *to,
                        const struct address *from)
{
    struct stream *stream;
    *client = (struct client){0};
    assert_int_equal(socket_connect(loop, to, from, &stream), 0);
    stream->owner = client;
    stream->on_ready = on_connect;
    client->end.stream = stream;
    client->end.loop = loop;
}

static int option_of(const struct stream *stream, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(stream_fd(stream), level, option, &value, &len), 0);
    return value;
}

static void both_ends_are_tuned(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    server_init(&server, "127.0.0.1", 1);
    client_init(&client, server.loop, &server.address, NULL);
    turn_until(server.loop, client.is_connected && server.count == 1);
    assert_int_equal(client.error, 0);
    const struct stream *ends[2] = {client.end.stream, server.ends[0].stream};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option_of(ends[i], SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_USER_TIMEOUT), 120000);
    }
    socket_patience(stream_fd(ends[0]), 7000);
    assert_int_equal(option_of(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 7000);
    socket_patience(stream_fd(ends[0]), UINT32_MAX);
    assert_int_equal(option_of(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    stream_close(client.end.stream);
    server_fini(&server);
}

static void it_comes_from_the_address_it_was_told(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    struct address from, local;
    char text[ADDRESS_TEXT_MAX];
    server_init(&server, "127.0.0.1", 1);
    assert_true(address_of_host("127.0.0.77", 0, &from));
    client_init(&client, server.loop, &server.address, &from);
    turn_until(server.loop, client.is_connected && server.count == 1);
    assert_string_equal(address_print_host(&server.peer, text), "127.0.0.77");
    assert_int_equal(socket_local(client.end.stream, &local), 0);
    assert_int_equal(address_port(&local), address_port(&server.peer));
    assert_int_equal(socket_peer(client.end.stream, &local), 0);
    assert_int_equal(address_port(&local), address_port(&server.address));
    stream_close(client.end.stream);
    server_fini(&server);
}

static void a_refused_connection_says_why(void **state)
{
    (void)state;
    struct loop *loop;
    struct address any, nobody;
    struct client client;
    int fd;
    assert_int_equal(loop_new(NULL, &loop), 0);
    assert_true(address_of_host("127.0.0.1", 0, &any));
    assert_int_equal(listen_open(&any, NULL, &fd, &nobody), 0);
    listen_close(fd);
    client_init(&client, loop, &nobody, NULL);
    turn_until(loop, client.is_connected);
    assert_int_equal(client.error, -ECONNREFUSED);
    stream_close(client.end.stream);
    loop_free(loop);
}

static void a_reset_shows_as_readable(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    server_init(&server, "127.0.0.1", 1);
    client_init(&client, server.loop, &server.address, NULL);
    turn_until(server.loop, client.is_connected && server.count == 1);
    socket_linger_none(client.end.stream);
    stream_close(client.end.stream);
    turn_until(server.loop, server.ends[0].ready > 0);
    assert_int_equal(server.ends[0].last, -ECONNRESET);
    assert_int_equal(say(&server.ends[0], "who is there"), -EPIPE);
    server_fini(&server);
}

static void five_thousand_sockets_echo(void **state)
{
    (void)state;
    struct server server;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    uint32_t many = MANY;
    if (limit.rlim_max < DESCRIPTORS) {
        many = (uint32_t)(limit.rlim_max - 200) / 2;
    }
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct client *clients = calloc(many, sizeof *clients);
    server_init(&server, "127.0.0.1", many);
    for (uint32_t i = 0; i < many; i++) {
        client_init(&clients[i], server.loop, &server.address, NULL);
        turn_until(server.loop, clients[i].is_connected && i < server.count + 500U);
    }
    turn_until(server.loop, server.count == many);
    uint32_t answered = 0;
    for (uint32_t i = 0; i < many; i++) {
        end_init(&clients[i].end, server.loop, clients[i].end.stream);
        assert_int_equal(say(&clients[i].end, "ping"), 4);
    }
    for (uint32_t i = 0; i < many; i++) {
        turn_until(server.loop, clients[i].end.bytes == 4);
        answered++;
    }
    assert_int_equal(answered, many);
    for (uint32_t i = 0; i < many; i++) {
        stream_close(clients[i].end.stream);
    }
    server_fini(&server);
    free(clients);
}

static void out_of_descriptors_it_waits_and_recovers(void **state)
{
    (void)state;
    if (is_under_valgrind()) {
        skip(); /* its own descriptors are above the limit, and it moves that */
    }
    struct server server;
    struct client clients[3];
    struct rlimit before, low;
    server_init(&server, "127.0.0.1", 3);
    for (int i = 0; i < 3; i++) {
        client_init(&clients[i], server.loop, &server.address, NULL);
    }
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = (rlim_t)stream_fd(clients[2].end.stream) + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    turn_until(server.loop, server.trouble >= 2); /* looked, waited, looked again */
    assert_int_equal(server.count, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    turn_until(server.loop, server.count == 3);
    for (int i = 0; i < 3; i++) {
        stream_close(clients[i].end.stream);
    }
    server_fini(&server);
}

/* Two times over: what it has used up it takes back as soon as it can. */
static void out_of_descriptors_it_has_a_reserve(void **state)
{
    (void)state;
    if (is_under_valgrind()) {
        skip(); /* its own descriptors are above the limit, and it moves that */
    }
    struct server server;
    struct client clients[6];
    struct rlimit before, low;
    server_init_with(&server, "127.0.0.1", 6, 2);
    getrlimit(RLIMIT_NOFILE, &before);
    for (uint32_t round = 0; round < 2; round++) {
        struct client *mine = &clients[3 * round];
        uint32_t trouble = server.trouble;
        intake_pause(server.intake);
        for (int i = 0; i < 3; i++) {
            client_init(&mine[i], server.loop, &server.address, NULL);
            turn_until(server.loop, mine[i].is_connected);
        }
        low = before;
        low.rlim_cur = (rlim_t)stream_fd(mine[2].end.stream) + 1;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        intake_resume(server.intake);
        turn_until(server.loop, server.trouble >= trouble + 2);
        assert_int_equal(server.count, 3 * round + 2);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        turn_until(server.loop, server.count == 3 * round + 3);
    }
    for (int i = 0; i < 6; i++) {
        stream_close(clients[i].end.stream);
    }
    server_fini(&server);
}

static void at_a_limit_none_connects(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    struct stream *stream;
    server_init(&server, "127.0.0.1", 1);
    socket_connect_below(socket_count());
    assert_int_equal(socket_connect(server.loop, &server.address, NULL, &stream), -EMFILE);
    socket_connect_below(socket_count() + 1);
    client_init(&client, server.loop, &server.address, NULL);
    turn_until(server.loop, server.count == 1);
    socket_connect_below(UINT32_MAX);
    stream_close(client.end.stream);
    server_fini(&server);
}

static void a_paused_intake_leaves_the_backlog_alone(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    server_init(&server, "127.0.0.1", 1);
    intake_pause(server.intake);
    client_init(&client, server.loop, &server.address, NULL);
    turn_until(server.loop, client.is_connected); /* by the kernel */
    loop_turn(server.loop, 0);
    assert_int_equal(server.count, 0);
    intake_resume(server.intake);
    turn_until(server.loop, server.count == 1);
    stream_close(client.end.stream);
    server_fini(&server);
}

static void loops_share_a_listening_socket(void **state)
{
    (void)state;
    struct server server;
    struct client clients[8];
    struct loop *other;
    struct intake *intake;
    server_init(&server, "127.0.0.1", 8);
    assert_int_equal(loop_new(NULL, &other), 0);
    struct intake_options opt = {.fd = server.fd, .on_accept = on_accept, .self = &server};
    assert_int_equal(intake_open(other, &opt, &intake), 0);
    for (int i = 0; i < 8; i++) {
        client_init(&clients[i], server.loop, &server.address, NULL);
        turn_until(server.loop, clients[i].is_connected);
        loop_turn(other, 0);
    }
    turn_until(server.loop, server.count == 8);
    for (int i = 0; i < 8; i++) {
        stream_close(clients[i].end.stream);
    }
    intake_close(intake);
    loop_free(other);
    server_fini(&server);
}

/* --- unix ---------------------------------------------------------------------------------------
 */

static void a_unix_socket_replaces_a_dead_one_only(void **state)
{
    (void)state;
    char directory[] = "/tmp/weir-test-XXXXXX", path[64];
    struct address address, bound;
    int first, second;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s", directory);
    assert_true(address_of_unix(path, &address));
    assert_int_equal(listen_open(&address, NULL, &first, &bound), 0);
    assert_int_equal(listen_open(&address, NULL, &second, NULL), -EADDRINUSE);
    close(first); /* as a process that was killed */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(listen_open(&address, NULL, &second, NULL), 0);
    listen_close(second);
    assert_int_not_equal(access(path, F_OK), 0);
    rmdir(directory);
}

static void an_address_in_use_is_an_error(void **state)
{
    (void)state;
    struct address any, bound, bound_too;
    int first, second;
    assert_true(address_of_host("127.0.0.1", 0, &any));
    assert_int_equal(listen_open(&any, NULL, &first, &bound), 0);
    assert_int_equal(listen_open(&bound, NULL, &second, NULL), -EADDRINUSE);
    listen_close(first);

    struct listen_options shared = {.reuse_port = true};
    assert_int_equal(listen_open(&any, &shared, &first, &bound), 0);
    assert_int_equal(listen_open(&bound, &shared, &second, &bound_too), 0);
    assert_int_equal(address_port(&bound), address_port(&bound_too));
    listen_close(first);
    listen_close(second);
}

static void body_of_refused_memory(const struct alloc *alloc, void *arg)
{
    struct loop_options opt = {.alloc = alloc};
    struct loop *loop;
    struct stream *stream;
    int fds[2];
    (void)arg;
    if (loop_new(&opt, &loop) != 0) {
        return;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    if (socket_adopt(loop, fds[0], &stream) == 0) {
        stream_close(stream);
    }
    struct intake *intake;
    struct intake_options on = {.fd = fds[1], .on_accept = on_accept};
    if (intake_open(loop, &on, &intake) == 0) {
        intake_close(intake);
    }
    close(fds[1]);
    loop_free(loop);
}

static void refused_memory_is_an_answer(void **state)
{
    (void)state;
    torture(body_of_refused_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_end_writes_the_other_reads),
        cmocka_unit_test(nothing_is_heard_that_is_not_wanted),
        cmocka_unit_test(a_full_socket_says_so_and_tells_when_it_has_room),
        cmocka_unit_test(nothing_calls_back_after_close),
        cmocka_unit_test(what_is_not_wanted_any_more_is_not_heard_in_the_same_turn),
        cmocka_unit_test(a_message_allocates_nothing),
        cmocka_unit_test(detached_it_lives_on_in_another_loop),
        cmocka_unit_test(a_dirty_connection_shows),
        cmocka_unit_test(both_ends_are_tuned),
        cmocka_unit_test(it_comes_from_the_address_it_was_told),
        cmocka_unit_test(a_refused_connection_says_why),
        cmocka_unit_test(a_reset_shows_as_readable),
        cmocka_unit_test(five_thousand_sockets_echo),
        cmocka_unit_test(out_of_descriptors_it_waits_and_recovers),
        cmocka_unit_test(out_of_descriptors_it_has_a_reserve),
        cmocka_unit_test(at_a_limit_none_connects),
        cmocka_unit_test(a_paused_intake_leaves_the_backlog_alone),
        cmocka_unit_test(loops_share_a_listening_socket),
        cmocka_unit_test(a_unix_socket_replaces_a_dead_one_only),
        cmocka_unit_test(an_address_in_use_is_an_error),
        cmocka_unit_test(refused_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
