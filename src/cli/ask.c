/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include "base/text.h"
#include "cli/faults.h"
#include "cli/terminal.h"
#include "gateway/config.h"
#include "gateway/config_address.h"
#include "gateway/config_arena.h"
#include "gateway/server.h"
#include "io/oserror.h"
#include "proto/json_read.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DEFAULT_ADMIN  "127.0.0.1:9901"
#define REQUEST_MAX    8192U
#define READ_BYTES     65536U
#define FLOW_INPUT_MAX 262144U

static int fail(const struct ask *ask, const char *what, const char *why)
{
    if (ask->ret_why != NULL)
        snprintf(ask->ret_why, ASK_WHY_MAX, "%s: %s", what, why);
    else
        fprintf(stderr, "weir %s: %s: %s\n", ask->command, what, why);
    return 1;
}

static int fail_gone(const struct ask *ask, const char *what, const char *why)
{
    if (ask->ret_is_gone != NULL)
        *ask->ret_is_gone = true;
    return fail(ask, what, why);
}

/* Nobody listens there, or who did went away without a word. */
static bool is_gone(int error)
{
    return error == -ECONNREFUSED || error == -ENOENT || error == -ECONNRESET || error == -EPIPE;
}

static int fail_reach(const struct ask *ask, const char *what, int error)
{
    return is_gone(error) ? fail_gone(ask, what, oserror_text(error))
                          : fail(ask, what, oserror_text(error));
}

/* NULL: it says nothing. */
static const char *from_environment(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): there is one thread */
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* --- where ---------------------------------------------------------------------------------------
 */

struct where {
    struct address address;
    char text[256];
};

/* What is copied from a browser's bar is understood as well. */
static struct slice without_scheme(struct slice text)
{
    static const struct slice http = {"http://", 7};
    if (!slice_starts(text, http))
        return text;
    text = slice_sub(text, http.len, text.len);
    return slice_sub(text, 0, slice_find(text, '/'));
}

static int where_of(const struct ask *ask, const char *text, struct where *ret)
{
    const struct config_memory memory = {&alloc_libc, CONFIG_ARENA_BLOCK};
    struct config_arena *arena = config_arena_new(&memory);
    bool fits = slice_copy(ret->text, sizeof(ret->text), without_scheme(slice_of(text)))
                < sizeof(ret->text);
    struct config_address address = {.text = ret->text};
    const char *fault = config_address_of(arena, ret->text, &address);
    if (config_arena_is_short(arena))
        fault = "out of memory";
    if (!fits)
        fault = "is too long";
    if (fault == NULL)
        ret->address = server_address(&address);
    int status = fault == NULL ? 0 : fail(ask, text, fault);
    config_arena_free(arena);
    return status;
}

static int where_in_config(const struct ask *ask, struct where *ret)
{
    struct config_faults faults;
    struct config *config = config_read(ask->config, &faults);
    int status = 1;
    if (config == NULL)
        faults_print(stderr, &faults, false);
    else if (config->admin.address.host[0] == '\0' && config->admin.address.unix_path[0] == '\0')
        status = fail(ask, ask->config, "it has no admin interface");
    else
        status = where_of(ask, config->admin.address.text, ret);
    config_free(config);
    config_faults_free(&faults);
    return status;
}

static int find_where(const struct ask *ask, struct where *ret)
{
    const char *named = ask->admin != NULL ? ask->admin : from_environment("WEIR_ADMIN");
    if (named == NULL && ask->config != NULL)
        return where_in_config(ask, ret);
    return where_of(ask, named != NULL ? named : DEFAULT_ADMIN, ret);
}

/* --- asking --------------------------------------------------------------------------------------
 */

static int connect_to(const struct ask *ask, const struct where *where)
{
    const struct timeval patience = {.tv_sec = ask->timeout_s > 0 ? ask->timeout_s : ASK_TIMEOUT_S};
    int fd = socket(where->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, &where->address.any, where->address.len) != 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* All of it, or -errno. */
static int send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent < 0)
            return -errno;
        data += sent;
        len -= (size_t)sent;
    }
    return 0;
}

/* 0 or -errno. */
static int say(int fd, const struct ask *ask, const struct where *where)
{
    const char *token = from_environment("WEIR_ADMIN_TOKEN");
    bool is_unix = where->address.any.sa_family == AF_UNIX;
    char request[REQUEST_MAX], about[96] = "";
    if (ask->method != NULL)
        snprintf(about, sizeof(about), "Content-Type: application/json\r\nContent-Length: %u\r\n",
                 ask->input.len);
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s%s%s\r\n",
                       ask->method != NULL ? ask->method : "GET", ask->path,
                       is_unix ? "localhost" : where->text, about,
                       ask->fields != NULL ? ask->fields : "",
                       token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
                       token != NULL ? "\r\n" : "");
    int error = -E2BIG;
    if (len > 0 && (size_t)len < sizeof(request))
        error = send_all(fd, request, (size_t)len);
    explicit_bzero(request, sizeof(request));
    return error == 0 ? send_all(fd, ask->input.at, ask->input.len) : error;
}

/* All that comes until the end. 0 or -errno. */
static int hear(int fd, struct bytes *answer)
{
    char room[READ_BYTES];
    ssize_t got;
    while ((got = recv(fd, room, sizeof(room), 0)) > 0)
        if (!bytes_append(answer, room, (size_t)got))
            return -EMSGSIZE;
    return got < 0 ? -errno : 0;
}

/* With its body, as far as that is short. */
static int say_status(const struct ask *ask, uint16_t status, struct slice body)
{
    char text[ASK_WHY_MAX], message[400];
    struct slice error, said;
    slice_copy(message, sizeof(message), body);
    if (json_check(body) && json_member(body, SLICE("error"), &error)
        && json_member(error, SLICE("message"), &said))
        json_get_text(said, message, sizeof(message));
    snprintf(text, sizeof(text), "%u %s", status, message);
    text[strcspn(text, "\n")] = '\0';
    terminal_tame(text);
    return fail(ask, ask->path, status == 401 ? "401: WEIR_ADMIN_TOKEN has to open it" : text);
}

static ssize_t parse(struct slice text, struct http_head *head)
{
    struct http1_progress progress = {0};
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    const struct http1_asked asked = {.method_id = HTTP_GET};
    return http1_parse_response(&progress, text.at, text.len, &limits, asked, head);
}

static int read_answer(const struct ask *ask, const struct bytes *answer, struct bytes *ret_body)
{
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_head head = {.fields = fields};
    struct slice text = bytes_slice(answer);
    if (text.len == 0)
        return fail_gone(ask, ask->path, "the connection was closed without an answer");
    ssize_t used = parse(text, &head);
    if (used <= 0)
        return fail(ask, ask->path, "what answers there is no admin interface");
    struct slice body = slice_sub(text, (uint32_t)used, text.len);
    bool is_whole = head.framing == HTTP_LENGTH ? body.len == head.content_length
                                                : head.framing == HTTP_NO_BODY && body.len == 0;
    if (!is_whole)
        return fail_gone(ask, ask->path, "the answer is not whole");
    if (head.status < 200 || head.status > 299)
        return say_status(ask, head.status, body);
    return bytes_append_slice(ret_body, body) ? 0 : fail(ask, ask->path, "out of memory");
}

static int converse(const struct ask *ask, const struct where *where, struct bytes *ret_body)
{
    struct bytes answer;
    int fd = connect_to(ask, where);
    if (fd < 0)
        return fail_reach(ask, where->text, fd);
    bytes_init(&answer, &alloc_libc, ASK_ANSWER_MAX);
    int error = say(fd, ask, where);
    error = error == 0 ? hear(fd, &answer) : error;
    close(fd);
    int status = error != 0 ? fail_reach(ask, where->text, error)
                            : read_answer(ask, &answer, ret_body);
    bytes_fini(&answer);
    return status;
}

int ask_admin(const struct ask *ask, struct bytes *ret_body)
{
    struct where where;
    int status = find_where(ask, &where);
    return status == 0 ? converse(ask, &where, ret_body) : status;
}

/* --- an answer that is read as it comes ----------------------------------------------------------
 */

/* 0, or the reason is said. */
static int flow_more(const struct ask *ask, struct ask_flow *flow)
{
    char room[READ_BYTES];
    ssize_t got = recv(flow->fd, room, sizeof(room), 0);
    if (got == 0)
        return fail(ask, ask->path, "the connection was closed without an answer");
    if (got < 0)
        return fail(ask, ask->path, oserror_text(-errno));
    return bytes_append(&flow->input, room, (size_t)got) ? 0
                                                         : fail(ask, ask->path, "out of memory");
}

static int flow_head(const struct ask *ask, struct ask_flow *flow)
{
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_head head = {.fields = fields};
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    ssize_t used = 0;
    while (used == 0) {
        if (flow_more(ask, flow) != 0)
            return 1;
        used = parse(bytes_slice(&flow->input), &head);
    }
    if (used < 0)
        return fail(ask, ask->path, "what answers there is no admin interface");
    const struct http_field *type = http_find(&head, HTTP_CONTENT_TYPE);
    if (type != NULL)
        slice_copy(flow->type, sizeof(flow->type), type->value);
    http1_body_init(&flow->body, &head, &limits);
    bytes_consume(&flow->input, (size_t)used);
    return head.status == 200 ? 0 : say_status(ask, head.status, bytes_slice(&flow->input));
}

int ask_flow_open(const struct ask *ask, struct ask_flow *ret_flow)
{
    const struct timeval for_ever = {0};
    const int on = 1, idle_s = 30;
    struct where where;
    if (find_where(ask, &where) != 0)
        return 1;
    *ret_flow = (struct ask_flow){.fd = connect_to(ask, &where)};
    if (ret_flow->fd < 0)
        return fail(ask, where.text, oserror_text(ret_flow->fd));
    bytes_init(&ret_flow->input, &alloc_libc, FLOW_INPUT_MAX);
    int error = say(ret_flow->fd, ask, &where);
    int status = error != 0 ? fail(ask, where.text, oserror_text(error)) : flow_head(ask, ret_flow);
    if (status != 0) {
        ask_flow_close(ret_flow);
        return status;
    }
    setsockopt(ret_flow->fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
    setsockopt(ret_flow->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(ret_flow->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    return 0;
}

/* What has come. 0: the body has ended; 1: it has not; or -errno. */
static int flow_pass(struct ask_flow *flow, void (*fn)(void *arg, struct slice data), void *arg)
{
    struct http_field fields[HTTP_FIELDS_MAX];
    for (;;) {
        struct http_head trailers = {.fields = fields};
        struct http1_piece piece;
        enum http1_body_event event = http1_body_next(&flow->body, bytes_at(&flow->input),
                                                      bytes_len(&flow->input), &trailers, &piece);
        if (event == HTTP1_BODY_DATA)
            fn(arg, piece.data);
        bytes_consume(&flow->input, piece.used);
        if (event != HTTP1_BODY_DATA)
            return event == HTTP1_BODY_MORE ? 1 : event == HTTP1_BODY_END ? 0 : -EPROTO;
    }
}

int ask_flow_next(struct ask_flow *flow, void (*fn)(void *arg, struct slice data), void *arg)
{
    char room[READ_BYTES];
    int left = 1;
    if (bytes_len(&flow->input) > 0)
        left = flow_pass(flow, fn, arg);
    if (left <= 0)
        return left;
    ssize_t got = recv(flow->fd, room, sizeof(room), 0);
    if (got <= 0)
        return got == 0 ? (http1_body_ends_with_close(&flow->body) ? 0 : -EPIPE) : -errno;
    if (!bytes_append(&flow->input, room, (size_t)got))
        return -EMSGSIZE;
    return flow_pass(flow, fn, arg);
}

void ask_flow_close(struct ask_flow *flow)
{
    close(flow->fd);
    bytes_fini(&flow->input);
}
