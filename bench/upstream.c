/* SPDX-License-Identifier: Apache-2.0
 *
 * upstream.c - a minimal keep-alive HTTP server: GET /N is answered with N bytes, and so is POST.
 *
 *     upstream LISTEN COUNTERS [PEM]      a port on 127.0.0.1, a file; HTTPS with that certificate
 *                                         and key
 *
 * It counts the connections it accepted and the requests it answered in COUNTERS, a file of two
 * 64-bit numbers that others map: so reuse is counted by the one who cannot be wrong about it.
 * A request's body has a length, and is read and forgotten; an answer that the kernel does not take
 * whole blocks nobody else.
 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH_MAX    256
#define BUFFER_BYTES 65536
#define SIZES_MAX    8
#define ANSWER_MAX   (64u << 20)

struct counters {
    _Atomic uint64_t connections;
    _Atomic uint64_t requests;
};

struct answer {
    size_t size; /* of the body */
    size_t len;
    char *bytes;
};

struct conn {
    int fd;
    SSL *ssl;   /* NULL: plain */
    char *part; /* the beginning of a request, where one did not come whole */
    size_t part_len;
    size_t body_left; /* of a request that waits for its answer, of answer_size */
    size_t answer_size;
    const char *rest; /* of an answer, inside its bytes */
    size_t rest_len;
};

static int loop;
static struct counters *counters;
static SSL_CTX *secure; /* NULL: plain */
static struct answer answers[SIZES_MAX];
static char buffer[BUFFER_BYTES];

static struct counters *counters_open(const char *path);
static SSL_CTX *secure_open(const char *pem);
static void on_client(int listener);
static void on_readable(struct conn *conn);
static void on_writable(struct conn *conn);

int main(int argc, char **argv)
{
    struct epoll_event events[BATCH_MAX];
    struct epoll_event on_listen = {.events = EPOLLIN, .data.ptr = NULL};
    if (argc != 3 && argc != 4) {
        errno = EINVAL;
        net_die("usage: upstream LISTEN COUNTERS [PEM]");
    }
    secure = argc == 4 ? secure_open(argv[3]) : NULL;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    net_raise_limits();
    counters = counters_open(argv[2]);
    int listener = net_listen(net_port_of(argv[1]));
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &on_listen) < 0)
        net_die("epoll");
    for (;;) {
        int n = epoll_wait(loop, events, BATCH_MAX, -1);
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (!conn)
                on_client(listener);
            else if (events[i].events & EPOLLOUT)
                on_writable(conn);
            else
                on_readable(conn);
        }
    }
}

static struct counters *counters_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *counters) < 0)
        net_die(path);
    void *map = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        net_die(path);
    close(fd);
    return map;
}

/* --- TLS, or not --------------------------------------------------------------------------------
 */

static SSL_CTX *secure_open(const char *pem)
{
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (!made || SSL_CTX_use_certificate_chain_file(made, pem) != 1
        || SSL_CTX_use_PrivateKey_file(made, pem, SSL_FILETYPE_PEM) != 1) {
        errno = EINVAL;
        net_die(pem);
    }
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                               | SSL_MODE_RELEASE_BUFFERS);
    return made;
}

static bool secure_client(struct conn *conn)
{
    conn->ssl = SSL_new(secure);
    if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
        return false;
    SSL_set_accept_state(conn->ssl);
    return true;
}

/* As recv() and send() have it. */
static ssize_t outcome_of(struct conn *conn, int result)
{
    int why = result > 0 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, result);
    ERR_clear_error();
    if (result > 0 || why == SSL_ERROR_ZERO_RETURN)
        return result > 0 ? result : 0;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

static ssize_t conn_read(struct conn *conn, void *at, size_t size)
{
    return conn->ssl ? outcome_of(conn, SSL_read(conn->ssl, at, (int)size))
                     : recv(conn->fd, at, size, 0);
}

static ssize_t conn_write(struct conn *conn, const void *at, size_t size)
{
    return conn->ssl ? outcome_of(conn, SSL_write(conn->ssl, at, (int)size))
                     : send(conn->fd, at, size, MSG_NOSIGNAL);
}

/* --- connections --------------------------------------------------------------------------------
 */

static void watch(struct conn *conn, int operation, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = conn};
    if (epoll_ctl(loop, operation, conn->fd, &event) < 0)
        net_die("epoll_ctl");
}

static void on_client(int listener)
{
    int fd;
    while ((fd = net_accept(listener)) >= 0) {
        struct conn *conn = calloc(1, sizeof *conn);
        if (!conn)
            net_die("calloc");
        conn->fd = fd;
        if (secure && !secure_client(conn))
            net_die("SSL_new");
        watch(conn, EPOLL_CTL_ADD, EPOLLIN);
        atomic_fetch_add_explicit(&counters->connections, 1, memory_order_relaxed);
    }
}

static void conn_close(struct conn *conn)
{
    SSL_free(conn->ssl);
    close(conn->fd);
    free(conn->part);
    free(conn);
}

static const struct answer *answer_of(size_t size)
{
    size_t at = 0;
    while (at < SIZES_MAX - 1 && answers[at].bytes && answers[at].size != size)
        at++;
    struct answer *answer = &answers[at];
    if (answer->bytes && answer->size == size)
        return answer;
    char head[256];
    int head_len =
        snprintf(head, sizeof head,
                 "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                 "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                 size);
    if (answer->bytes)
        return NULL; /* more sizes than the table holds */
    answer->bytes = malloc((size_t)head_len + size);
    if (!answer->bytes)
        net_die("malloc");
    memcpy(answer->bytes, head, (size_t)head_len);
    memset(answer->bytes + head_len, 'x', size);
    answer->size = size;
    answer->len = (size_t)head_len + size;
    return answer;
}

/* Answers one request; the connection may be gone then. */
static void request_answer(struct conn *conn, size_t size)
{
    const struct answer *answer = size <= ANSWER_MAX ? answer_of(size) : NULL;
    if (!answer) {
        conn_close(conn);
        return;
    }
    atomic_fetch_add_explicit(&counters->requests, 1, memory_order_relaxed);
    ssize_t sent = conn_write(conn, answer->bytes, answer->len);
    if (sent < 0 && errno != EAGAIN) {
        conn_close(conn);
        return;
    }
    if (sent < (ssize_t)answer->len) {
        size_t done = sent < 0 ? 0 : (size_t)sent;
        conn->rest = answer->bytes + done;
        conn->rest_len = answer->len - done;
        watch(conn, EPOLL_CTL_MOD, EPOLLOUT);
    }
}

/* A whole head, of which `here` bytes of body were read with it. */
static void request_begin(struct conn *conn, const char *head, size_t here)
{
    const char *path = strchr(head, '/'), *length = strcasestr(head, "\r\nContent-Length:");
    size_t body = length ? strtoul(length + strlen("\r\nContent-Length:"), NULL, 10) : 0;
    conn->part_len = 0;
    conn->answer_size = path ? strtoul(path + 1, NULL, 10) : 0;
    conn->body_left = body > here ? body - here : 0;
    if (conn->body_left == 0)
        request_answer(conn, conn->answer_size);
}

static void body_read(struct conn *conn, size_t len)
{
    conn->body_left -= len < conn->body_left ? len : conn->body_left;
    if (conn->body_left == 0)
        request_answer(conn, conn->answer_size);
}

/* Nobody sends the next request before the answer, so one request is all there is to look for. */
static void on_readable(struct conn *conn)
{
    size_t held = conn->part_len;
    if (held > 0)
        memcpy(buffer, conn->part, held);
    ssize_t got = conn_read(conn, buffer + held, sizeof buffer - 1 - held);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            conn_close(conn);
        return;
    }
    size_t len = held + (size_t)got;
    if (conn->body_left > 0) {
        body_read(conn, len);
        return;
    }
    buffer[len] = '\0';
    char *end = strstr(buffer, "\r\n\r\n");
    if (end) {
        end[2] = '\0';
        request_begin(conn, buffer, len - (size_t)(end + 4 - buffer));
        return;
    }
    char *part = len < sizeof buffer / 2 ? realloc(conn->part, len) : NULL;
    if (!part) {
        conn_close(conn);
        return;
    }
    memcpy(part, buffer, len);
    conn->part = part;
    conn->part_len = len;
}

static void on_writable(struct conn *conn)
{
    ssize_t sent = conn_write(conn, conn->rest, conn->rest_len);
    if (sent < 0) {
        if (errno != EAGAIN)
            conn_close(conn);
        return;
    }
    conn->rest += sent;
    conn->rest_len -= (size_t)sent;
    if (conn->rest_len == 0)
        watch(conn, EPOLL_CTL_MOD, EPOLLIN);
}
