/* SPDX-License-Identifier: Apache-2.0
 *
 * http_peer.h - for tests of HTTP clients: a server on loopback, one thread for each connection,
 * that does as the path says. Blocking sockets, so that what is on the wire is what is written
 * here.
 *
 *   /hello            200 "hello"                       /dump      the request's head, as a body
 *   /echo             its body                          /bytes/N   N bytes: pattern_at()
 *   /chunks/N         N bytes, chunked                  /gzip/N /deflate/N /bare/N   compressed
 *   /to/STATUS/URL    a redirect                        /long-to/STATUS/URL   with a long body
 *   /close            "hello", and closes               /until-close   "hello", ended by that
 *   /status/N         N, without a body                 /stall     nothing, until the client leaves
 *   /half             half of a body, and closes        /stall-body  half of a body, and nothing
 *   /garbage          what is no answer                 /stale     "hello"; a second request on its
 *   /early            413 before the body is read            connection is read and not answered
 *   /unread           the body is not read
 *   /bad-gzip         says gzip, and is not             /cut-gzip  half of it
 */
#pragma once
#include "support/listening.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#define PEER_CONNS_MAX 2048
#define PEER_HEAD_MAX  65536

struct http_peer_server;

struct peer_conn {
    struct http_peer_server *server;
    pthread_t thread;
    _Atomic int fd;
    bool is_stale; /* the next request is not answered */
    char head[PEER_HEAD_MAX];
    size_t have; /* bytes in `head`, some of them behind the head */
    char method[32], path[4096];
    char *body;
    size_t body_len;
};

struct http_peer_server {
    int fd;
    uint16_t port;
    pthread_t thread;
    _Atomic uint32_t accepted, requests, open, most_open;
    struct peer_conn *conns[PEER_CONNS_MAX];
    _Atomic uint32_t count;
    sem_t ends; /* for those who do not read */
};

static inline char peer_pattern_at(uint64_t i)
{
    return (char)('a' + i % 23);
}

static inline bool peer_send(struct peer_conn *conn, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(conn->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* A whole answer. `fields` are lines, each with its end. */
static inline bool peer_answer(struct peer_conn *conn, unsigned status, const char *fields,
                               const void *body, size_t len)
{
    char head[PEER_HEAD_MAX];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %u Such\r\n%sContent-Length: %zu\r\n\r\n", status,
                     fields, len);
    bool no_body = strcmp(conn->method, "HEAD") == 0;
    return peer_send(conn, head, (size_t)n) && (no_body || peer_send(conn, body, len));
}

/* --- requests -----------------------------------------------------------------------------------
 */

static inline const char *peer_field(const struct peer_conn *conn, const char *name)
{
    static _Thread_local char value[4096];
    const char *line = conn->head;
    while ((line = strstr(line, "\r\n")) != NULL && strncmp(line, "\r\n\r\n", 4) != 0) {
        line += 2;
        size_t len = strlen(name);
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            sscanf(line + len + 1, " %4095[^\r]", value);
            return value;
        }
    }
    return NULL;
}

static inline ssize_t peer_more(struct peer_conn *conn, void *buf, size_t cap, size_t *used)
{
    if (conn->have > *used) {
        size_t n = conn->have - *used < cap ? conn->have - *used : cap;
        memcpy(buf, conn->head + *used, n);
        *used += n;
        return (ssize_t)n;
    }
    return recv(conn->fd, buf, cap, 0);
}

static inline bool peer_read_exactly(struct peer_conn *conn, size_t len, size_t *used)
{
    conn->body = realloc(conn->body, conn->body_len + len + 1);
    while (len > 0) {
        ssize_t n = peer_more(conn, conn->body + conn->body_len, len, used);
        if (n <= 0) {
            return false;
        }
        conn->body_len += (size_t)n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool peer_read_chunked(struct peer_conn *conn, size_t *used)
{
    for (;;) {
        char line[64];
        size_t len = 0;
        while (len < 2 || memcmp(line + len - 2, "\r\n", 2) != 0) {
            if (len == sizeof line - 1 || peer_more(conn, line + len, 1, used) != 1) {
                return false;
            }
            len++;
        }
        line[len] = '\0';
        size_t size = strtoul(line, NULL, 16);
        if (!peer_read_exactly(conn, size + 2, used)) {
            return false;
        }
        conn->body_len -= 2;
        if (size == 0) {
            return true;
        }
    }
}

/* Up to the end of its head; what lies behind is kept. 0: the client has left. */
static inline size_t peer_read_head(struct peer_conn *conn)
{
    for (;;) {
        conn->head[conn->have] = '\0';
        char *end = strstr(conn->head, "\r\n\r\n");
        if (end != NULL) {
            sscanf(conn->head, "%31s %4095s", conn->method, conn->path);
            return (size_t)(end + 4 - conn->head);
        }
        if (conn->have == sizeof conn->head - 1) {
            return 0;
        }
        ssize_t n = recv(conn->fd, conn->head + conn->have, sizeof conn->head - 1 - conn->have, 0);
        if (n <= 0) {
            return 0;
        }
        conn->have += (size_t)n;
    }
}

static inline bool peer_read_body(struct peer_conn *conn, size_t *used)
{
    const char *length = peer_field(conn, "Content-Length");
    const char *coding = peer_field(conn, "Transfer-Encoding");
    if (coding != NULL) {
        return peer_read_chunked(conn, used);
    }
    return length == NULL || peer_read_exactly(conn, strtoul(length, NULL, 10), used);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static inline char *peer_pattern(size_t len)
{
    char *text = malloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = peer_pattern_at(i);
    }
    return text;
}

static inline bool peer_chunks(struct peer_conn *conn, size_t len)
{
    char *text = peer_pattern(len);
    const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    bool good = peer_send(conn, head, sizeof head - 1);
    for (size_t at = 0; good && at < len;) {
        char line[32];
        size_t piece = len - at < 1000 ? len - at : 1000;
        int n = snprintf(line, sizeof line, "%zx\r\n", piece);
        good = peer_send(conn, line, (size_t)n) && peer_send(conn, text + at, piece)
               && peer_send(conn, "\r\n", 2);
        at += piece;
    }
    free(text);
    return good && peer_send(conn, "0\r\n\r\n", 5);
}

/* window: as zlib's deflateInit2() takes it. Half of it where `cut`. */
static inline bool peer_compressed(struct peer_conn *conn, size_t len, int window,
                                   const char *fields, bool cut)
{
    char *text = peer_pattern(len);
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
    size_t room = deflateBound(&z, len);
    unsigned char *packed = malloc(room);
    z.next_in = (unsigned char *)text;
    z.avail_in = (unsigned)len;
    z.next_out = packed;
    z.avail_out = (unsigned)room;
    deflate(&z, Z_FINISH);
    size_t packed_len = room - z.avail_out;
    deflateEnd(&z);
    bool good = peer_answer(conn, 200, fields, packed, cut ? packed_len / 2 : packed_len);
    free(packed);
    free(text);
    return good;
}

static inline bool peer_redirect(struct peer_conn *conn, const char *rest, size_t body_len)
{
    char fields[4200];
    unsigned status = (unsigned)strtoul(rest, NULL, 10);
    snprintf(fields, sizeof fields, "Location: %s\r\n", strchr(rest, '/') + 1);
    char *body = peer_pattern(body_len);
    bool good = peer_answer(conn, status, fields, body, body_len);
    free(body);
    return good;
}

static inline void peer_until_left(struct peer_conn *conn)
{
    char forgotten[4096];
    while (recv(conn->fd, forgotten, sizeof forgotten, 0) > 0) {
    }
}

static inline bool peer_is(const struct peer_conn *conn, const char *prefix, const char **ret_rest)
{
    size_t len = strlen(prefix);
    *ret_rest = conn->path + len;
    return strncmp(conn->path, prefix, len) == 0;
}

static inline bool peer_badly(struct peer_conn *conn)
{
    static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.";
    static const char open_end[] = "HTTP/1.1 200 OK\r\n\r\nhello";
    static const char garbage[] = "SMTP ready\r\n\r\n";
    const char *rest;
    if (peer_is(conn, "/stall-body", &rest)) {
        peer_send(conn, half, sizeof half - 1);
        peer_until_left(conn);
    } else if (peer_is(conn, "/stall", &rest)) {
        peer_until_left(conn);
    } else if (peer_is(conn, "/half", &rest)) {
        peer_send(conn, half, sizeof half - 1);
    } else if (peer_is(conn, "/until-close", &rest)) {
        peer_send(conn, open_end, sizeof open_end - 1);
    } else if (peer_is(conn, "/garbage", &rest)) {
        peer_send(conn, garbage, sizeof garbage - 1);
        peer_until_left(conn);
    } else if (peer_is(conn, "/close", &rest)) {
        peer_answer(conn, 200, "Connection: close\r\n", "hello", 5);
    } else {
        peer_answer(conn, 404, "", "nothing", 7);
        return true;
    }
    return false;
}

/* False: the connection ends. */
static inline bool peer_serve(struct peer_conn *conn)
{
    const char *rest;
    if (peer_is(conn, "/hello", &rest) || peer_is(conn, "/stale", &rest)) {
        conn->is_stale = peer_is(conn, "/stale", &rest);
        return peer_answer(conn, 200, "X-Peer: it\r\nContent-Type: text/plain\r\n", "hello", 5);
    }
    if (peer_is(conn, "/echo", &rest)) {
        return peer_answer(conn, 200, "", conn->body, conn->body_len);
    }
    if (peer_is(conn, "/dump", &rest)) {
        size_t len = (size_t)(strstr(conn->head, "\r\n\r\n") + 4 - conn->head);
        return peer_answer(conn, 200, "", conn->head, len);
    }
    if (peer_is(conn, "/bytes/", &rest)) {
        size_t len = strtoul(rest, NULL, 10);
        char *text = peer_pattern(len);
        bool good = peer_answer(conn, 200, "", text, len);
        free(text);
        return good;
    }
    if (peer_is(conn, "/chunks/", &rest)) {
        return peer_chunks(conn, strtoul(rest, NULL, 10));
    }
    if (peer_is(conn, "/gzip/", &rest)) {
        return peer_compressed(conn, strtoul(rest, NULL, 10), 31, "Content-Encoding: gzip\r\n",
                               false);
    }
    if (peer_is(conn, "/cut-gzip/", &rest)) {
        return peer_compressed(conn, strtoul(rest, NULL, 10), 31, "Content-Encoding: gzip\r\n",
                               true);
    }
    if (peer_is(conn, "/deflate/", &rest)) {
        return peer_compressed(conn, strtoul(rest, NULL, 10), 15, "Content-Encoding: deflate\r\n",
                               false);
    }
    if (peer_is(conn, "/bare/", &rest)) {
        return peer_compressed(conn, strtoul(rest, NULL, 10), -15, "Content-Encoding: deflate\r\n",
                               false);
    }
    if (peer_is(conn, "/bad-gzip", &rest)) {
        return peer_answer(conn, 200, "Content-Encoding: gzip\r\n", "not gzip at all", 15);
    }
    if (peer_is(conn, "/to/", &rest)) {
        return peer_redirect(conn, rest, 5);
    }
    if (peer_is(conn, "/long-to/", &rest)) {
        return peer_redirect(conn, rest, 1 << 20);
    }
    if (peer_is(conn, "/status/", &rest)) {
        return peer_answer(conn, (unsigned)strtoul(rest, NULL, 10), "", "", 0);
    }
    return peer_badly(conn);
}

static inline void *peer_conn_main(void *arg)
{
    struct peer_conn *conn = arg;
    struct http_peer_server *server = conn->server;
    size_t used;
    while ((used = peer_read_head(conn)) > 0) {
        const char *rest;
        server->requests++;
        if (conn->is_stale) {
            break;
        }
        conn->body_len = 0;
        if (peer_is(conn, "/unread", &rest)) {
            sem_wait(&server->ends);
            break;
        }
        if (peer_is(conn, "/early", &rest)) {
            peer_answer(conn, 413, "Connection: close\r\n", "too much", 8);
            shutdown(conn->fd, SHUT_WR);
            peer_until_left(conn);
            break;
        }
        if (!peer_read_body(conn, &used) || !peer_serve(conn)) {
            break;
        }
        memmove(conn->head, conn->head + used, conn->have - used);
        conn->have -= used;
    }
    shutdown(conn->fd, SHUT_RDWR);
    server->open--;
    return NULL;
}

/* --- the server ---------------------------------------------------------------------------------
 */

static inline void *peer_main(void *arg)
{
    struct http_peer_server *server = arg;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        uint32_t count = server->count;
        struct peer_conn *conn = calloc(1, sizeof *conn);
        assert_true(conn != NULL && count < PEER_CONNS_MAX);
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn->server = server;
        conn->fd = fd;
        server->accepted++;
        uint32_t open = ++server->open;
        if (open > server->most_open) {
            server->most_open = open;
        }
        server->conns[count] = conn;
        pthread_create(&conn->thread, NULL, peer_conn_main, conn);
        server->count = count + 1;
    }
}

static inline void peer_open(struct http_peer_server *server)
{
    memset(server, 0, sizeof *server);
    sem_init(&server->ends, 0, 0);
    server->fd = listening(0, 512, &server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, peer_main, server), 0);
}

/* Hangs up on everybody; who connects next is served. */
static inline void peer_hang_up(struct http_peer_server *server)
{
    for (uint32_t i = 0; i < server->count; i++) {
        shutdown(server->conns[i]->fd, SHUT_RDWR);
    }
}

static inline void peer_close(struct http_peer_server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    peer_hang_up(server);
    for (uint32_t i = 0; i < server->count; i++) {
        sem_post(&server->ends);
    }
    for (uint32_t i = 0; i < server->count; i++) {
        pthread_join(server->conns[i]->thread, NULL);
        close(server->conns[i]->fd);
        free(server->conns[i]->body);
        free(server->conns[i]);
    }
}
