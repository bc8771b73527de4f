/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_server.h - a real redis-server for tests: on loopback, on a port that the kernel chose, its
 * files in a folder of its own; ended by its own pid, and with the test that started it. And a
 * client that waits, to look at what is in it.
 */
#pragma once
#include "base/bytes.h"
#include "proto/resp.h"
#include "support/await.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REDIS_DEADLINE_MS 20000U

struct redis_server {
    pid_t pid;
    uint16_t port;
    char folder[64];
    const char *more[20]; /* arguments, up to the first NULL */
    bool is_sentinel;     /* its folder has sentinel.conf, which says all */
    int fd;               /* of the client that looks; -1 */
};

static inline uint16_t redis_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline void redis_exec(const struct redis_server *server)
{
    char port[8];
    const char *args[36] = {"redis-server", "--port", port, "--bind",     "127.0.0.1", "--dir",
                            server->folder, "--save", "",   "--loglevel", "warning"};
    unsigned count = 11;
    char config[96];
    int null = open("/dev/null", O_RDWR);
    snprintf(port, sizeof port, "%u", (unsigned)server->port);
    for (unsigned i = 0; server->more[i] != NULL; i++) {
        args[count++] = server->more[i];
    }
    if (server->is_sentinel) {
        snprintf(config, sizeof config, "%s/sentinel.conf", server->folder);
        args[1] = config;
        args[2] = "--sentinel";
        args[3] = NULL;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    execvp(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

/* -1: nobody listens. */
static inline int redis_try_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* It takes connections when this returns. */
static inline void redis_run(struct redis_server *server)
{
    server->pid = fork();
    if (server->pid == 0) {
        redis_exec(server);
    }
    await_true((server->fd = redis_try_connect(server->port)) >= 0, REDIS_DEADLINE_MS,
               assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
               poll(NULL, 0, 5)); /* there is nothing to be told by */
}

static inline void redis_start(struct redis_server *server)
{
    server->port = redis_free_port();
    snprintf(server->folder, sizeof server->folder, "/tmp/weir-redis-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    redis_run(server);
}

/* One that watches the master at that port, as "mymaster": two of them fail it over. `more`: lines
 * of its configuration. */
static inline void redis_start_sentinel(struct redis_server *server, uint16_t master_port,
                                        const char *more)
{
    char config[96];
    server->port = redis_free_port();
    server->is_sentinel = true;
    snprintf(server->folder, sizeof server->folder, "/tmp/weir-redis-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    snprintf(config, sizeof config, "%s/sentinel.conf", server->folder);
    FILE *file = fopen(config, "w");
    assert_non_null(file);
    fprintf(file,
            "port %u\nbind 127.0.0.1\ndir %s\n"
            "sentinel monitor mymaster 127.0.0.1 %u 2\n"
            "sentinel down-after-milliseconds mymaster 500\n"
            "sentinel failover-timeout mymaster 2000\n%s",
            (unsigned)server->port, server->folder, (unsigned)master_port, more);
    assert_int_equal(fclose(file), 0);
    redis_run(server);
}

static inline void redis_kill(struct redis_server *server)
{
    close(server->fd);
    server->fd = -1;
    kill(server->pid, SIGKILL);
    assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
}

static inline void redis_pause(const struct redis_server *server, bool is_paused)
{
    kill(server->pid, is_paused ? SIGSTOP : SIGCONT);
}

static inline void redis_end(struct redis_server *server)
{
    char name[96];
    static const char *const files[] = {"dump.rdb", "appendonly.aof", "sentinel.conf",
                                        "nodes.conf"};
    redis_kill(server);
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "%s/%s", server->folder, files[i]);
        unlink(name);
    }
    rmdir(server->folder);
}

/* One command of words that are texts, and what it says: texts one behind the other with spaces, a
 * null as "(null)". */
static inline const char *redis_ask(struct redis_server *server, const char *const *words)
{
    static char said[65536], in[65536];
    struct bytes out;
    struct slice slices[16];
    struct resp_reader reader;
    struct resp_value value;
    size_t have = 0, whole = 0, used = 0;
    uint32_t count = 0;
    for (; words[count] != NULL; count++) {
        slices[count] = slice_of(words[count]);
    }
    bytes_init(&out, &alloc_libc, 1U << 20);
    resp_reader_init(&reader, NULL);
    assert_true(resp_command(&out, slices, count));
    assert_int_equal(send(server->fd, bytes_at(&out), bytes_len(&out), MSG_NOSIGNAL),
                     (ssize_t)bytes_len(&out));
    bytes_fini(&out);
    while (whole == 0) {
        ssize_t n = recv(server->fd, in + have, sizeof in - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
        whole = resp_read(&reader, in, have);
        assert_int_equal(reader.error, RESP_FINE);
    }
    said[0] = '\0';
    struct resp_walk walk = resp_walk_of(in, whole);
    while (resp_next(&walk, &value)) {
        const char *space = used > 0 ? " " : "";
        if (value.type == RESP_NUMBER) {
            used += (size_t)snprintf(said + used, sizeof said - used, "%s%lld", space,
                                     (long long)value.number);
        } else if (value.type == RESP_NULL || value.text.at != NULL) {
            struct slice text = value.type == RESP_NULL ? SLICE("(null)") : value.text;
            used += (size_t)snprintf(said + used, sizeof said - used, "%s%.*s", space,
                                     SLICE_ARG(text));
        }
    }
    return said;
}

#define redis_says(server, ...) redis_ask((server), (const char *const[]){__VA_ARGS__, NULL})
