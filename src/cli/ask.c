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
#include "proto/http1.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DEFAULT_ADMIN "127.0.0.1:9901"
#define REQUEST_MAX   8192U
#define READ_BYTES    65536U

static int fail(const struct ask *ask, const char *what, const char *why)
{
    fprintf(stderr, "weir %s: %s: %s\n", ask->command, what, why);
    return 1;
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

static int where_of(const struct ask *ask, const char *text, struct where *ret)
{
    const struct config_memory memory = {&alloc_libc, CONFIG_ARENA_BLOCK};
    struct config_arena *arena = config_arena_new(&memory);
    struct config_address address = {.text = text};
    const char *fault = config_address_of(arena, text, &address);
    if (config_arena_is_short(arena))
        fault = "out of memory";
    if (fault == NULL) {
        ret->address = server_address(&address);
        snprintf(ret->text, sizeof(ret->text), "%s", text);
    }
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

static int connect_to(const struct where *where)
{
    const struct timeval patience = {.tv_sec = ASK_TIMEOUT_S};
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

/* 0 or -errno. */
static int say(int fd, const struct ask *ask, const struct where *where)
{
    const char *token = from_environment("WEIR_ADMIN_TOKEN");
    bool is_unix = where->address.any.sa_family == AF_UNIX;
    char request[REQUEST_MAX];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s\r\n", ask->path,
                       is_unix ? "localhost" : where->text,
                       token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
                       token != NULL ? "\r\n" : "");
    bool fits = len > 0 && (size_t)len < sizeof(request);
    ssize_t sent = fits ? send(fd, request, (size_t)len, MSG_NOSIGNAL) : -1;
    explicit_bzero(request, sizeof(request));
    return !fits ? -E2BIG : sent < 0 ? -errno : sent < len ? -EIO : 0;
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
    char text[512];
    snprintf(text, sizeof(text), "%u %.*s", status, (int)(body.len < 400 ? body.len : 400),
             body.at);
    text[strcspn(text, "\n")] = '\0';
    terminal_tame(text);
    return fail(ask, ask->path, status == 401 ? "401: WEIR_ADMIN_TOKEN has to open it" : text);
}

static int read_answer(const struct ask *ask, const struct bytes *answer, struct bytes *ret_body)
{
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_head head = {.fields = fields};
    struct http1_progress progress = {0};
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    const struct http1_asked asked = {.method_id = HTTP_GET};
    struct slice text = bytes_slice(answer);
    if (text.len == 0)
        return fail(ask, ask->path, "the connection was closed without an answer");
    ssize_t used = http1_parse_response(&progress, text.at, text.len, &limits, asked, &head);
    if (used <= 0)
        return fail(ask, ask->path, "what answers there is no admin interface");
    struct slice body = slice_sub(text, (uint32_t)used, text.len);
    bool is_whole = head.framing == HTTP_LENGTH ? body.len == head.content_length
                                                : head.framing == HTTP_NO_BODY && body.len == 0;
    if (!is_whole)
        return fail(ask, ask->path, "the answer is not whole");
    if (head.status != 200)
        return say_status(ask, head.status, body);
    return bytes_append_slice(ret_body, body) ? 0 : fail(ask, ask->path, "out of memory");
}

static int converse(const struct ask *ask, const struct where *where, struct bytes *ret_body)
{
    struct bytes answer;
    int fd = connect_to(where);
    if (fd < 0)
        return fail(ask, where->text, oserror_text(fd));
    bytes_init(&answer, &alloc_libc, ASK_ANSWER_MAX);
    int error = say(fd, ask, where);
    error = error == 0 ? hear(fd, &answer) : error;
    close(fd);
    int status = error != 0 ? fail(ask, where->text, oserror_text(error))
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
