/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc_tool.c - a service of gRPC on the library's server, for tests with real clients: the methods
 * of grpcpeer.py, and some more.
 *
 *     grpc_tool [WORKERS]
 *         prints its port. Lines of input: "on NAME", "off NAME", "drop NAME" set what the health
 *         of NAME is; "cancelled" prints how many were; the end of the input drains it, and prints
 *         what it counted.
 *
 *   /t.T/Echo, /t.T/Sum, /t.T/Count, /t.T/Chat   unary, client's stream, server's stream, both
 *   /t.T/Fail    a status with a message and metadata      /t.T/Head   metadata before the message
 *   /t.T/Wait    no answer, but x-left, the ms that are left, in the head
 *   /t.T/Later   as Echo, from another thread              /t.T/Pause  never reads
 *   /t.T/Cut     a message, then a reset                   /t.T/Bytes  one message of N bytes
 */
#include <weir/grpc.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static weir_server *server;
static _Atomic uint64_t calls, cancelled, late, too_large, other;

static void fail(const char *what)
{
    fprintf(stderr, "grpc_tool: %s: %s\n", what, weir_runtime_fault());
    exit(1);
}

static void end(weir_exchange *call)
{
    static const weir_http_field trailer = {.name = "x-trailing-bin", .value = "AP8"};
    if (weir_grpc_end(call, WEIR_GRPC_OK, NULL, &trailer, 1) != WEIR_OK) {
        fail("end");
    }
}

static void on_call(void *self, weir_exchange *call)
{
    (void)self;
    (void)call;
    calls++;
}

static void on_abort(void *self, weir_exchange *call, weir_err why)
{
    (void)self;
    free(weir_exchange_user(call));
    switch (why) {
    case WEIR_ECANCELED: cancelled++; break;
    case WEIR_ETOTAL_TIMEOUT: late++; break;
    case WEIR_ETOO_LARGE: too_large++; break;
    default: other++;
    }
}

/* --- the four kinds -----------------------------------------------------------------------------
 */

static void echo(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    weir_err err = weir_grpc_answer(call, message, len);
    if (err == WEIR_ETOO_LARGE) {
        weir_grpc_end(call, WEIR_GRPC_RESOURCE_EXHAUSTED, "send_max", NULL, 0);
    } else if (err != WEIR_OK) {
        fail("answer");
    } else {
        end(call);
    }
}

static uint64_t *count_of(weir_exchange *call)
{
    if (weir_exchange_user(call) == NULL) {
        weir_exchange_set_user(call, calloc(1, sizeof(uint64_t)));
    }
    return weir_exchange_user(call);
}

static void answer_number(weir_exchange *call, uint64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    weir_grpc_answer(call, text, (size_t)len);
}

static void sum_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    (void)message;
    *count_of(call) += len;
}

static void sum_finish(void *self, weir_exchange *call)
{
    (void)self;
    answer_number(call, *count_of(call));
    free(weir_exchange_user(call));
    end(call);
}

struct counting {
    uint64_t at, to;
};

static void count_on(void *self, weir_exchange *call)
{
    (void)self;
    struct counting *counting = weir_exchange_user(call);
    char text[24];
    for (; counting->at < counting->to; counting->at++) {
        int len = snprintf(text, sizeof text, "%llu", (unsigned long long)counting->at);
        if (weir_grpc_answer(call, text, (size_t)len) == WEIR_EAGAIN) {
            return;
        }
    }
    free(counting);
    end(call);
}

static uint64_t number_of(const void *message, size_t len)
{
    char text[24];
    snprintf(text, sizeof text, "%.*s", (int)len, (const char *)message);
    return strtoull(text, NULL, 10);
}

static void count_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    struct counting *counting = calloc(1, sizeof *counting);
    counting->to = number_of(message, len);
    weir_exchange_set_user(call, counting);
    count_on(self, call);
}

static void chat_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    char text[1024];
    int size = snprintf(text, sizeof text, "re: %.*s", (int)len, (const char *)message);
    weir_grpc_answer(call, text, (size_t)size);
}

static void chat_finish(void *self, weir_exchange *call)
{
    (void)self;
    end(call);
}

/* --- and some more ------------------------------------------------------------------------------
 */

static void fail_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    (void)message;
    (void)len;
    static const weir_http_field more = {.name = "x-more-bin", .value = "AQI"};
    static const weir_http_field reserved = {.name = "grpc-status", .value = "0"};
    if (weir_grpc_end(call, WEIR_GRPC_OK, NULL, &reserved, 1) != WEIR_EINVAL
        || weir_grpc_end(call, (weir_grpc_code)17, NULL, NULL, 0) != WEIR_EINVAL
        || weir_exchange_reply(call, &(weir_reply){0}) != WEIR_ESTATE) {
        fail("what cannot be was done");
    }
    weir_grpc_end(call, WEIR_GRPC_FAILED_PRECONDITION, "nicht möglich: 100%\n", &more, 1);
}

static void wait_call(void *self, weir_exchange *call)
{
    (void)self;
    calls++;
    char left[32];
    uint32_t left_ms = weir_grpc_time_left(call);
    snprintf(left, sizeof left, "%d", left_ms == WEIR_NEVER ? -1 : (int)left_ms);
    const weir_http_field field = {.name = "x-left", .value = left};
    weir_grpc_begin(call, &field, 1);
}

/* What came with the call goes back with its head: as much of it as there is. */
static void head_call(void *self, weir_exchange *call)
{
    (void)self;
    static const char *const names[] = {"x-data-bin", "x-long", "user-agent"};
    weir_http_field fields[3];
    char *values[3];
    for (size_t i = 0; i < 3; i++) {
        weir_text value = weir_request_field_of(call, names[i]);
        values[i] = calloc(1, value.len + 1);
        memcpy(values[i], value.len > 0 ? value.at : "", value.len);
        fields[i] = (weir_http_field){.name = i < 2 ? names[i] : "x-agent", .value = values[i]};
    }
    if (weir_grpc_begin(call, fields, 3) != WEIR_OK
        || weir_grpc_begin(call, fields, 3) != WEIR_ESTATE) {
        fail("begin");
    }
    for (size_t i = 0; i < 3; i++) {
        free(values[i]);
    }
}

struct later {
    weir_server *server;
    weir_exchange_id id;
    size_t len;
    char message[];
};

static void later_answers(void *arg, weir_exchange *call)
{
    struct later *later = arg;
    if (call != NULL) {
        echo(NULL, call, later->message, later->len);
    }
    free(later);
}

static void *later_runs(void *arg)
{
    struct later *later = arg;
    if (weir_server_run(later->server, later->id, later_answers, later) != WEIR_OK) {
        fail("run");
    }
    return NULL;
}

static void later_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    pthread_t thread;
    struct later *later = malloc(sizeof *later + len);
    later->server = weir_exchange_server(call);
    later->id = weir_exchange_id_of(call);
    later->len = len;
    memcpy(later->message, message, len);
    if (pthread_create(&thread, NULL, later_runs, later) != 0) {
        fail("thread");
    }
    pthread_detach(thread);
}

static void pause_call(void *self, weir_exchange *call)
{
    (void)self;
    weir_exchange_pause(call, true);
    answer_number(call, 0);
}

static void cut_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    weir_grpc_answer(call, message, len);
    weir_exchange_abort(call);
}

static void bytes_message(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    size_t size = (size_t)number_of(message, len);
    char *answer = malloc(size + 1);
    memset(answer, 'x', size);
    echo(NULL, call, answer, size);
    free(answer);
}

static const weir_grpc_method methods[] = {
    {.path = "/t.T/Echo", .on_call = on_call, .on_message = echo, .on_abort = on_abort},
    {.path = "/t.T/Sum", .on_message = sum_message, .on_finish = sum_finish, .on_abort = on_abort},
    {.path = "/t.T/Count",
     .on_message = count_message,
     .on_writable = count_on,
     .on_abort = on_abort},
    {.path = "/t.T/Chat",
     .on_message = chat_message,
     .on_finish = chat_finish,
     .on_abort = on_abort},
    {.path = "/t.T/Fail", .on_message = fail_message},
    {.path = "/t.T/Wait", .on_call = wait_call, .on_abort = on_abort},
    {.path = "/t.T/Head", .on_call = head_call, .on_message = echo},
    {.path = "/t.T/Later", .on_message = later_message, .on_abort = on_abort},
    {.path = "/t.T/Pause", .on_call = pause_call, .on_abort = on_abort},
    {.path = "/t.T/Cut", .on_message = cut_message},
    {.path = "/t.T/Bytes", .on_message = bytes_message, .on_abort = on_abort},
};

static void set_health(const char *word, const char *name)
{
    uint32_t state = strcmp(word, "on") == 0 ? WEIR_ON : strcmp(word, "off") == 0 ? WEIR_OFF : 0;
    if (weir_grpc_health_set(server, name, state) != WEIR_OK) {
        fail("health");
    }
}

static void obey(void)
{
    char line[256], word[16], name[200];
    while (fgets(line, sizeof line, stdin) != NULL) {
        name[0] = '\0';
        if (strcmp(line, "cancelled\n") == 0) {
            printf("%llu\n", (unsigned long long)cancelled);
        } else if (sscanf(line, "%15s %199s", word, name) >= 1) {
            set_health(word, name);
            printf("done\n");
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    static const weir_grpc_service service = {.methods = methods,
                                              .method_count = sizeof methods / sizeof *methods,
                                              .send_max = 40000000,
                                              .health = WEIR_ON};
    static const weir_server_handler handler = {.grpc = &service};
    const weir_runtime_options workers = {.workers = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10)
                                                              : 2};
    const weir_server_options opt = {
        .address = "127.0.0.1:0", .idle_timeout_ms = 300, .request_timeout_ms = 300};
    weir_runtime *runtime;
    if (weir_runtime_open(&workers, &runtime) != WEIR_OK
        || weir_server_listen(runtime, &opt, &handler, NULL, &server) != WEIR_OK) {
        fail("listen");
    }
    printf("%u\n", (unsigned)weir_server_port(server));
    fflush(stdout);
    obey();
    if (weir_server_close(server, 5000) != WEIR_OK
        || weir_runtime_close(runtime, 1000) != WEIR_OK) {
        fail("close");
    }
    printf("{\"calls\": %llu, \"cancelled\": %llu, \"late\": %llu, \"too_large\": %llu, "
           "\"other\": %llu}\n",
           (unsigned long long)calls, (unsigned long long)cancelled, (unsigned long long)late,
           (unsigned long long)too_large, (unsigned long long)other);
    return 0;
}
