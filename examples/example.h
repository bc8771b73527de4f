/* SPDX-License-Identifier: Apache-2.0
 *
 * example.h - what the examples share: a blocking TCP connection that asks in lines and is answered
 * in lines, as a program would have it already, and two short cuts for main().
 */
#pragma once
#include <weir/factory.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct tcp {
    int fd;
};

/* NULL: errno says why. */
static inline struct tcp *tcp_open(const char *host, uint16_t port, uint32_t timeout_ms)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval limit = {(time_t)(timeout_ms / 1000), (suseconds_t)(timeout_ms % 1000 * 1000)};
    struct tcp *tcp = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        errno = EHOSTUNREACH;
        return NULL;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* connect() obeys it */
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (connect(fd, found->ai_addr, found->ai_addrlen) == 0
            && (tcp = (struct tcp *)malloc(sizeof *tcp)) != NULL) {
            tcp->fd = fd;
        } else {
            int why = errno;
            close(fd);
            errno = why;
        }
    }
    freeaddrinfo(found);
    return tcp;
}

/* A descriptor that is connected, or not, when it can be written to. -1: errno says why. */
static inline int tcp_begin(const char *host, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, host, &to.sin_addr);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline bool tcp_is_connected(int fd)
{
    int why = 0;
    socklen_t len = sizeof why;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why == 0;
}

/* What errno is called in a pool. */
static inline weir_err tcp_why(void)
{
    return errno == ECONNREFUSED                        ? WEIR_EREFUSED
           : errno == EHOSTUNREACH                      ? WEIR_EUNREACHABLE
           : errno == EINPROGRESS || errno == ETIMEDOUT ? WEIR_ECONNECT_TIMEOUT
           : errno == ENOMEM                            ? WEIR_ENOMEM
                                                        : WEIR_ECONNECT;
}

/* Reads a line, without its end. False: there is none, and the connection is no good any more. */
static inline bool tcp_hear(struct tcp *tcp, char *ret_line, size_t size)
{
    size_t len = 0;
    while (len + 1 < size && recv(tcp->fd, ret_line + len, 1, 0) == 1) {
        if (ret_line[len] == '\n') {
            ret_line[len > 0 && ret_line[len - 1] == '\r' ? len - 1 : len] = '\0';
            return true;
        }
        len++;
    }
    return false;
}

/* Sends a line and reads the line that answers it. False: the same. */
static inline bool tcp_ask(struct tcp *tcp, const char *line, char *ret_answer, size_t size)
{
    return send(tcp->fd, line, strlen(line), MSG_NOSIGNAL | MSG_MORE) == (ssize_t)strlen(line)
           && send(tcp->fd, "\r\n", 2, MSG_NOSIGNAL) == 2 && tcp_hear(tcp, ret_answer, size);
}

/* Nothing to read, and not closed: as an idle connection should be. */
static inline bool tcp_is_quiet(const struct tcp *tcp)
{
    char byte;
    return recv(tcp->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0
           && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static inline void tcp_close(struct tcp *tcp)
{
    close(tcp->fd);
    free(tcp);
}

/* weir_factory.create and destroy, where there is nothing to say to the peer first. */
static inline weir_err tcp_create(void *self, const weir_create *what, void **ret_object)
{
    struct tcp *tcp = tcp_open(what->key->host, what->key->port, what->timeout_ms);
    (void)self;
    if (tcp == NULL) {
        return tcp_why();
    }
    *ret_object = tcp;
    return WEIR_OK;
}

static inline weir_err tcp_destroy(void *self, void *object, weir_err why)
{
    (void)self, (void)why;
    tcp_close((struct tcp *)object);
    return WEIR_OK;
}

/* --- short cuts ---------------------------------------------------------------------------------
 */

static inline void need(bool has_arguments, const char *usage)
{
    if (!has_arguments) {
        fprintf(stderr, "usage: %s\n", usage);
        exit(2);
    }
}

static inline uint16_t port_of(const char *text)
{
    return (uint16_t)strtoul(text, NULL, 10);
}

static inline void must(weir_err err, const char *what)
{
    if (err != WEIR_OK) {
        fprintf(stderr, "%s: %s\n", what, weir_err_text(err));
        exit(1);
    }
}

/* Options of a pool from arguments: "retry_first=10ms" "max_total=5". */
static inline void must_set(weir_pool_options *opt, char **words)
{
    for (; *words != NULL; words++) {
        char word[40];
        const char *value = strchr(*words, '=');
        snprintf(word, sizeof word, "%.*s", value ? (int)(value - *words) : 0, *words);
        must(weir_pool_options_set(opt, word, value ? value + 1 : ""), *words);
    }
}
