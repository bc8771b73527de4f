/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_tool.c - the library's OpenClaw client as a program, for tests with a double and with
 * the real one.
 *
 *     openclaw_tool [WORD=VALUE ...]
 *
 * WORD is an option of the pool, or in_flight, handshakes, handshake_timeout, message_max,
 * unsent_max, requests, gateways, workers, ca, dns. Commands come as lines, what happens goes out
 * as lines of JSON:
 *
 *     gateway NAME URL [token=T] [password=P] [device=FILE] [account=A] [proxy=URL]
 *     call ID NAME METHOD FLAGS TIMEOUT_MS [PARAMS]     FLAGS: r(eplay) f(inal) or -
 *     execute ID NAME METHOD FLAGS TIMEOUT_MS [PARAMS]  the same, blocking
 *     fan ID all|first|round NAME,NAME METHOD [PARAMS]
 *     cancel ID      disconnect NAME|* GRACE_MS
 *     info NAME      list      stats    ready NAME      fetch NAME METHOD PATH [BODY]
 *     bench NAME COUNT IN_FLIGHT METHOD [PARAMS]        its CPU time per request
 */
#include <weir/openclaw.h>

#include "base/bytes.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GATEWAYS_MAX 256
#define CALLS_MAX    4096
#define LINE_MAX_    (64U << 20)

static weir_runtime *runtime;
static weir_openclaw *claw;
static struct {
    char name[64];
    weir_openclaw_gateway *gateway;
} gateways[GATEWAYS_MAX];
static _Atomic unsigned gateways_count; /* workers look names up */
static weir_openclaw_ticket tickets[CALLS_MAX];
static pthread_mutex_t saying = PTHREAD_MUTEX_INITIALIZER;

static void must(weir_err err, const char *what)
{
    if (err != WEIR_OK) {
        fprintf(stderr, "openclaw_tool: %s: %s (%s)\n", what, weir_err_text(err),
                weir_runtime_fault());
        exit(1);
    }
}

static const char *name_of(const weir_openclaw_gateway *gateway)
{
    for (unsigned i = 0; i < gateways_count; i++) {
        if (gateways[i].gateway == gateway) {
            return gateways[i].name;
        }
    }
    return "";
}

static weir_openclaw_gateway *gateway_of(const char *name)
{
    for (unsigned i = 0; i < gateways_count; i++) {
        if (strcmp(gateways[i].name, name) == 0) {
            return gateways[i].gateway;
        }
    }
    fprintf(stderr, "openclaw_tool: no gateway %s\n", name);
    exit(1);
}

static void say(struct bytes *line)
{
    pthread_mutex_lock(&saying);
    fwrite(bytes_at(line), 1, bytes_len(line), stdout);
    putchar('\n');
    fflush(stdout);
    pthread_mutex_unlock(&saying);
    bytes_fini(line);
}

static void put_json(struct bytes *line, const char *name, weir_text text)
{
    bytes_printf(line, ", \"%s\": ", name);
    bytes_append(line, text.len > 0 ? text.at : "null", text.len > 0 ? text.len : 4);
}

static void put_text(struct bytes *line, const char *name, const char *text)
{
    bytes_printf(line, ", \"%s\": ", name);
    bytes_append_json(line, slice_of(text));
}

/* --- what is heard ------------------------------------------------------------------------------
 */

static void say_result(uint64_t id, const weir_openclaw_result *result)
{
    struct bytes line;
    bytes_init(&line, &alloc_libc, LINE_MAX_);
    bytes_printf(&line, "{\"id\": %llu, \"err\": \"%s\", \"ok\": %s, \"code\": %u, ",
                 (unsigned long long)id, weir_err_word(result->err), result->ok ? "true" : "false",
                 (unsigned)result->close_code);
    bytes_printf(&line,
                 "\"was_sent\": %s, \"replays\": %u, \"left\": %u, \"us\": %u, \"retry_after\": %u",
                 result->was_sent ? "true" : "false", result->replays, result->left,
                 result->total_us, result->retry_after_ms);
    put_json(&line, "payload", result->payload);
    put_json(&line, "error", result->error);
    put_text(&line, "detail", result->detail);
    put_text(&line, "gateway", name_of(result->gateway));
    bytes_append_text(&line, "}");
    say(&line);
}

static void on_result(void *arg, const weir_openclaw_result *result)
{
    say_result((uint64_t)(uintptr_t)arg, result);
}

static void on_event(void *arg, const weir_openclaw_event *event)
{
    struct bytes line;
    (void)arg;
    bytes_init(&line, &alloc_libc, LINE_MAX_);
    bytes_append_text(&line, "{\"event\": ");
    bytes_append_json(&line, slice_of(event->name));
    bytes_printf(&line, ", \"seq\": %llu", (unsigned long long)event->seq);
    put_text(&line, "gateway", name_of(event->gateway));
    put_json(&line, "payload", event->payload);
    bytes_append_text(&line, "}");
    say(&line);
}

static void on_pool_event(void *arg, const weir_event *event)
{
    struct bytes line;
    (void)arg;
    bytes_init(&line, &alloc_libc, LINE_MAX_);
    bytes_printf(&line, "{\"pool_event\": \"%s\", \"why\": \"%s\", \"retry_after\": %u}",
                 weir_event_word(event->kind), weir_err_word(event->why), event->retry_after_ms);
    say(&line);
}

/* --- commands -----------------------------------------------------------------------------------
 */

static void say_err(const char *what, weir_err err)
{
    struct bytes line;
    bytes_init(&line, &alloc_libc, LINE_MAX_);
    bytes_printf(&line, "{\"%s\": \"%s\"", what, weir_err_word(err));
    put_text(&line, "fault", err == WEIR_EINVAL || err == WEIR_EIO ? weir_runtime_fault() : "");
    bytes_append_text(&line, "}");
    say(&line);
}

static const char *value_of(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static void do_gateway(char **word)
{
    weir_openclaw_config config = {.url = word[2]};
    weir_openclaw_gateway *gateway;
    for (unsigned i = 3; word[i] != NULL; i++) {
        const char *value;
        config.token = (value = value_of(word[i], "token")) != NULL ? value : config.token;
        config.password = (value = value_of(word[i], "password")) != NULL ? value : config.password;
        config.device_file = (value = value_of(word[i], "device")) != NULL ? value
                                                                           : config.device_file;
        config.account = (value = value_of(word[i], "account")) != NULL ? value : config.account;
        config.proxy = (value = value_of(word[i], "proxy")) != NULL ? value : config.proxy;
    }
    weir_err err = weir_openclaw_gateway_of(claw, &config, &gateway);
    bool is_same = false;
    for (unsigned i = 0; i < gateways_count && err == WEIR_OK; i++) {
        is_same = is_same || gateways[i].gateway == gateway;
    }
    if (err == WEIR_OK && gateways_count < GATEWAYS_MAX) {
        snprintf(gateways[gateways_count].name, sizeof gateways->name, "%s", word[1]);
        gateways[gateways_count].gateway = gateway;
        gateways_count++; /* from here on it can be found */
    }
    say_err(is_same ? "same" : "gateway", err);
}

static weir_openclaw_request request_of(char **word, unsigned at)
{
    return (weir_openclaw_request){
        .method = word[at],
        .flags = (strchr(word[at + 1], 'r') != NULL ? WEIR_OPENCLAW_REPLAY : 0U)
                 | (strchr(word[at + 1], 'f') != NULL ? WEIR_OPENCLAW_FINAL : 0U),
        .timeout_ms = (uint32_t)atoi(word[at + 2]),
        .params = word[at + 3],
    };
}

static void do_call(char **word)
{
    uint64_t id = strtoull(word[1], NULL, 10);
    const weir_openclaw_request request = request_of(word, 3);
    weir_err err = weir_openclaw_call(gateway_of(word[2]), &request, on_result,
                                      (void *)(uintptr_t)id, &tickets[id % CALLS_MAX]);
    if (err != WEIR_OK) {
        say_err("call", err);
    }
}

static void do_execute(char **word)
{
    weir_openclaw_result *result;
    const weir_openclaw_request request = request_of(word, 3);
    weir_err err = weir_openclaw_execute(gateway_of(word[2]), &request, &result);
    if (err == WEIR_OK) {
        say_result(strtoull(word[1], NULL, 10), result);
        weir_openclaw_result_free(result);
    } else {
        say_err("execute", err);
    }
}

static void do_fan(char **word)
{
    weir_openclaw_gateway *to[GATEWAYS_MAX];
    size_t count = 0;
    weir_openclaw_fan how = strcmp(word[2], "all") == 0     ? WEIR_OPENCLAW_ALL
                            : strcmp(word[2], "first") == 0 ? WEIR_OPENCLAW_FIRST
                                                            : WEIR_OPENCLAW_ROUND_ROBIN;
    for (char *save, *name = strtok_r(word[3], ",", &save); name != NULL;
         name = strtok_r(NULL, ",", &save)) {
        to[count++] = gateway_of(name);
    }
    const weir_openclaw_request request = {.method = word[4], .params = word[5]};
    weir_err err = weir_openclaw_fan_out(to, count, how, &request, on_result,
                                         (void *)(uintptr_t)strtoull(word[1], NULL, 10));
    if (err != WEIR_OK) {
        say_err("fan", err);
    }
}

static bool say_info(void *arg, const weir_openclaw_info *info)
{
    struct bytes line;
    char key[512];
    (void)arg;
    bytes_init(&line, &alloc_libc, LINE_MAX_);
    weir_key_text(info->key, key, sizeof key);
    bytes_printf(&line, "{\"info\": \"%s\", \"status\": \"%s\", \"in_flight\": %u, ",
                 name_of(info->gateway), weir_openclaw_status_word(info->status), info->in_flight);
    bytes_printf(&line, "\"created\": %llu, \"used\": %llu, \"errors\": %u, \"protocol\": %u, ",
                 (unsigned long long)info->created_unix_ms, (unsigned long long)info->used_unix_ms,
                 info->errors, info->protocol);
    bytes_printf(&line, "\"tick\": %u, \"payload_max\": %llu, \"last_error\": \"%s\"",
                 info->tick_interval_ms, (unsigned long long)info->payload_max,
                 weir_err_word(info->last_error));
    put_text(&line, "last_error_text", info->last_error_text);
    put_text(&line, "key", key);
    bytes_append_text(&line, "}");
    say(&line);
    return true;
}

static void do_stats(void)
{
    weir_openclaw_stats stats;
    struct bytes line;
    weir_openclaw_stats_of(claw, &stats);
    bytes_init(&line, &alloc_libc, LINE_MAX_);
    bytes_append_text(&line, "{\"stats\": true");
#define PUT(name) bytes_printf(&line, ", \"" #name "\": %llu", (unsigned long long)stats.name)
    PUT(gateways), PUT(total), PUT(active), PUT(idle), PUT(reconnecting), PUT(error);
    PUT(in_flight), PUT(calls), PUT(answered), PUT(failed), PUT(connects), PUT(losses);
    PUT(handshakes), PUT(denied), PUT(starting), PUT(restarts), PUT(timeouts), PUT(replays);
    PUT(late), PUT(events), PUT(ticks), PUT(ticks_missed), PUT(strangers), PUT(bad_frames);
    PUT(too_large);
    weir_pool_options http;
    weir_http_client_options_of(weir_openclaw_http(claw), &http);
    bytes_printf(&line, ", \"http_answer_waits\": %s, \"http_total_ms\": %u}",
                 http.first_byte_timeout_ms == WEIR_NEVER ? "true" : "false",
                 http.total_timeout_ms);
    say(&line);
}

static void do_fetch(char **word)
{
    weir_http_answer *answer;
    const char *body = word[4];
    weir_err err = weir_openclaw_fetch(gateway_of(word[1]), word[2], word[3], body,
                                       body != NULL ? strlen(body) : 0, &answer);
    if (err != WEIR_OK) {
        say_err("fetch", err);
        return;
    }
    struct bytes line;
    weir_http_stats stats;
    weir_text text = weir_http_body(answer);
    weir_http_client_stats(weir_openclaw_http(claw), &stats);
    bytes_init(&line, &alloc_libc, LINE_MAX_);
    bytes_printf(&line, "{\"fetch\": \"ok\", \"status\": %u, \"reused\": %llu, \"body\": ",
                 (unsigned)weir_http_status(answer), (unsigned long long)stats.reused);
    bytes_append_json(&line, (struct slice){text.at, (uint32_t)text.len});
    bytes_append_text(&line, "}");
    say(&line);
    weir_http_answer_free(answer);
}

/* --- what it costs ------------------------------------------------------------------------------
 */

static struct {
    weir_openclaw_gateway *gateway;
    weir_openclaw_request request;
    _Atomic long to_begin, to_end;
    _Atomic unsigned failed;
    sem_t over;
} run;

static void run_more(void *arg, const weir_openclaw_result *result)
{
    (void)arg;
    if (result->err != WEIR_OK || !result->ok) {
        run.failed++;
    }
    if (run.to_begin-- > 0) {
        must(weir_openclaw_call(run.gateway, &run.request, run_more, NULL, NULL), "call");
    }
    if (--run.to_end == 0) {
        sem_post(&run.over);
    }
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void do_bench(char **word)
{
    struct timespec begun, ended;
    long count = atol(word[2]);
    int in_flight = atoi(word[3]);
    run.gateway = gateway_of(word[1]);
    run.request = (weir_openclaw_request){.method = word[4], .params = word[5]};
    run.to_begin = count - in_flight;
    run.to_end = count;
    run.failed = 0;
    sem_init(&run.over, 0, 0);
    double before = cpu_us();
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (int i = 0; i < in_flight; i++) {
        must(weir_openclaw_call(run.gateway, &run.request, run_more, NULL, NULL), "call");
    }
    sem_wait(&run.over);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds = (double)(ended.tv_sec - begun.tv_sec)
                     + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
    printf("{\"cpu_us\": %.3f, \"failed\": %u, \"per_second\": %.0f}\n",
           (cpu_us() - before) / (double)count, run.failed, (double)count / seconds);
    fflush(stdout);
}

/* --- the rest -----------------------------------------------------------------------------------
 */

static void obey(char **word)
{
    const char *what = word[0];
    if (strcmp(what, "gateway") == 0) {
        do_gateway(word);
    } else if (strcmp(what, "call") == 0) {
        do_call(word);
    } else if (strcmp(what, "execute") == 0) {
        do_execute(word);
    } else if (strcmp(what, "fan") == 0) {
        do_fan(word);
    } else if (strcmp(what, "cancel") == 0) {
        uint64_t id = strtoull(word[1], NULL, 10);
        say_err("cancel", weir_openclaw_cancel(claw, tickets[id % CALLS_MAX]));
    } else if (strcmp(what, "disconnect") == 0) {
        weir_openclaw_gateway *only = word[1][0] == '*' ? NULL : gateway_of(word[1]);
        say_err("disconnect", weir_openclaw_disconnect(claw, only, (uint32_t)atoi(word[2])));
    } else if (strcmp(what, "info") == 0) {
        weir_openclaw_info info;
        weir_openclaw_info_of(gateway_of(word[1]), &info);
        say_info(NULL, &info);
    } else if (strcmp(what, "list") == 0) {
        weir_openclaw_each(claw, say_info, NULL);
    } else if (strcmp(what, "stats") == 0) {
        do_stats();
    } else if (strcmp(what, "ready") == 0) {
        say_err("ready", weir_openclaw_ready(gateway_of(word[1]), 5000));
    } else if (strcmp(what, "fetch") == 0) {
        do_fetch(word);
    } else if (strcmp(what, "bench") == 0) {
        do_bench(word);
    } else {
        fprintf(stderr, "openclaw_tool: %s?\n", what);
        exit(1);
    }
}

/* Words, of which one that begins with '{' is the rest of the line. */
static void split(char *line, char *word[16])
{
    unsigned count = 0;
    line[strcspn(line, "\n")] = '\0';
    while (*line != '\0' && count < 15) {
        word[count++] = line;
        line += *line == '{' ? strlen(line) : strcspn(line, " ");
        if (*line == ' ') {
            *line++ = '\0';
        }
    }
    while (count < 16) {
        word[count++] = NULL;
    }
}

static void set(weir_runtime_options *opt, weir_openclaw_options *options, const char *word)
{
    const char *value;
    char name[64];
    if ((value = value_of(word, "in_flight")) != NULL) {
        options->in_flight_max = (uint32_t)atoi(value);
    } else if ((value = value_of(word, "handshakes")) != NULL) {
        options->handshakes_max = (uint32_t)atoi(value);
    } else if ((value = value_of(word, "handshake_timeout")) != NULL) {
        options->handshake_timeout_ms = (uint32_t)atoi(value);
    } else if ((value = value_of(word, "message_max")) != NULL) {
        options->message_max = (uint64_t)atoll(value);
    } else if ((value = value_of(word, "requests")) != NULL) {
        options->requests_max = (uint32_t)atoi(value);
    } else if ((value = value_of(word, "gateways")) != NULL) {
        options->gateways_max = (uint32_t)atoi(value);
    } else if ((value = value_of(word, "unsent_max")) != NULL) {
        options->unsent_max = (uint32_t)atoi(value);
    } else if ((value = value_of(word, "workers")) != NULL) {
        opt->workers = (uint32_t)atoi(value);
    } else if ((value = value_of(word, "ca")) != NULL) {
        options->tls.ca = options->proxy_tls.ca = value;
    } else if ((value = value_of(word, "dns")) != NULL) {
        options->dns_servers = value;
    } else {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
        must(weir_pool_options_set(&options->pool, name, strchr(word, '=') + 1), word);
    }
}

int main(int argc, char **argv)
{
    char *line = NULL, *word[16];
    size_t size = 0;
    weir_runtime_options opt = {.workers = 2};
    weir_openclaw_options options = {
        .on_event = on_event,
        .on_pool_event = on_pool_event,
        .pool_events = 1U << WEIR_EVENT_CONNECTION_ERROR | 1U << WEIR_EVENT_CONNECTION_ADDED
                       | 1U << WEIR_EVENT_CONNECTION_REMOVED | 1U << WEIR_EVENT_KEY_DOWN
                       | 1U << WEIR_EVENT_KEY_UP};
    for (int i = 1; i < argc; i++) {
        set(&opt, &options, argv[i]);
    }
    must(weir_runtime_open(&opt, &runtime), "runtime");
    must(weir_openclaw_open(runtime, &options, &claw), "client");
    while (getline(&line, &size, stdin) > 0) {
        split(line, word);
        if (word[0] != NULL) {
            obey(word);
        }
    }
    free(line);
    must(weir_openclaw_close(claw), "close");
    must(weir_runtime_close(runtime, 1000), "runtime");
    return 0;
}
