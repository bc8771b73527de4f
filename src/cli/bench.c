/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.c - `weir bench`: what is asked of it, and its rounds. Two targets take turns, so that what
 * the machine does meanwhile befalls both: first, second; second, first; …
 */
#include "cli/bench.h"

#include "base/text.h"
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_MAX    (16U << 20)
#define MESSAGE_MAX (1U << 20)

struct words {
    const char *vs, *connections, *rate, *duration, *warm, *rounds, *timeout, *method, *body, *svg;
    const char *message;
    char *fields[BENCH_FIELDS_MAX];
    bool is_json;
};

static int misused(const char *what, const char *word)
{
    fprintf(stderr, "weir bench: %s %s; `weir bench --help` says more\n", what, word);
    return EXIT_USAGE;
}

/* --- what is asked -------------------------------------------------------------------------------
 */

static bool time_of(const char *word, uint64_t least_ms, uint64_t *ret_ms)
{
    uint64_t ms;
    if (word == NULL)
        return true;
    if (!text_parse_duration(slice_of(word), &ms) || ms < least_ms || ms > 86400000)
        return false;
    *ret_ms = ms;
    return true;
}

static bool number_of(const char *word, uint64_t least, uint64_t most, unsigned *ret_number)
{
    uint64_t number;
    if (word == NULL)
        return true;
    if (!text_parse_u64(slice_of(word), &number) || number < least || number > most)
        return false;
    *ret_number = (unsigned)number;
    return true;
}

/* "Name: value", in place. */
static bool field_of(char *word, weir_http_field *ret_field)
{
    char *colon = strchr(word, ':');
    if (colon == NULL || colon == word)
        return false;
    *colon = '\0';
    *ret_field = (weir_http_field){.name = word, .value = colon + 1 + strspn(colon + 1, " \t")};
    return true;
}

/* "TEXT" or "@FILE". */
static const char *body_of(const char *word, struct bench_plan *plan, char **ret_owned)
{
    plan->body = word;
    plan->body_len = strlen(word);
    if (word[0] != '@')
        return NULL;
    FILE *file = fopen(word + 1, "rbe");
    char *room = file != NULL ? malloc(BODY_MAX + 1) : NULL;
    size_t len = room != NULL ? fread(room, 1, BODY_MAX + 1, file) : 0;
    bool is_read = room != NULL && ferror(file) == 0 && len <= BODY_MAX;
    if (file != NULL)
        fclose(file);
    *ret_owned = room;
    plan->body = room;
    plan->body_len = len;
    return is_read ? NULL : "cannot read";
}

static bool is_websocket(const char *url)
{
    return strncmp(url, "ws://", 5) == 0 || strncmp(url, "wss://", 6) == 0;
}

static bool is_url(const char *url)
{
    return is_websocket(url) || strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

/* 0, or the exit status after a message. */
static int plan_numbers(const struct words *words, struct bench_plan *plan)
{
    char *end = NULL;
    if (!number_of(words->connections, 1, BENCH_CALLERS_MAX, &plan->callers))
        return misused("--connections is 1 to 10000, not", words->connections);
    if (!number_of(words->rounds, 1, BENCH_ROUNDS_MAX, &plan->rounds))
        return misused("--rounds is 1 to 100, not", words->rounds);
    if (words->rate != NULL) {
        plan->rate = strtod(words->rate, &end);
        if (*end != '\0' || !(plan->rate >= 0.01 && plan->rate <= 1e6))
            return misused("--rate is a number from 0.01 to 1000000, not", words->rate);
    }
    if (!time_of(words->duration, 100, &plan->for_ms))
        return misused("--for is a duration, not", words->duration);
    if (!time_of(words->warm, 0, &plan->warm_ms))
        return misused("--warm is a duration, not", words->warm);
    if (!time_of(words->timeout, 100, &plan->timeout_ms))
        return misused("--timeout is a duration, not", words->timeout);
    uint64_t bytes = plan->message_bytes;
    if (words->message != NULL
        && (!text_parse_size(slice_of(words->message), &bytes) || bytes > MESSAGE_MAX))
        return misused("--message is a size of at most 1MiB, not", words->message);
    plan->message_bytes = (uint32_t)bytes;
    return 0;
}

static int plan_of(struct words *words, int left, char **rest, struct bench_plan *plan,
                   char **ret_body)
{
    if (left != 1)
        return misused(left == 0 ? "what URL" : "not understood:", left == 0 ? "?" : rest[1]);
    plan->urls[plan->urls_count++] = rest[0];
    if (words->vs != NULL)
        plan->urls[plan->urls_count++] = words->vs;
    plan->is_websocket = is_websocket(rest[0]);
    for (unsigned i = 0; i < plan->urls_count; i++)
        if (!is_url(plan->urls[i]) || is_websocket(plan->urls[i]) != plan->is_websocket)
            return misused("a URL is http://, https://, ws:// or wss://, and both are of a kind:",
                           plan->urls[i]);
    plan->rounds = words->vs != NULL ? 5 : 1;
    int status = plan_numbers(words, plan);
    if (status != 0)
        return status;
    for (unsigned i = 0; i < BENCH_FIELDS_MAX && words->fields[i] != NULL; i++)
        if (!field_of(words->fields[i], &plan->fields[plan->fields_count++]))
            return misused("--header is \"Name: value\", not", words->fields[i]);
    plan->method = words->method != NULL ? words->method : words->body != NULL ? "POST" : "GET";
    const char *why = words->body != NULL ? body_of(words->body, plan, ret_body) : NULL;
    return why != NULL ? misused(why, words->body) : 0;
}

/* --header may be said several times: takes them out. The number of words that are left, or -1. */
static int take_fields(int count, char **words, char *ret_fields[BENCH_FIELDS_MAX])
{
    int left = 0;
    unsigned fields = 0;
    for (int i = 0; i < count; i++) {
        bool is_joined = strncmp(words[i], "--header=", 9) == 0;
        if (!is_joined && strcmp(words[i], "--header") != 0 && strcmp(words[i], "-H") != 0) {
            words[left++] = words[i];
            continue;
        }
        if (fields == BENCH_FIELDS_MAX || (!is_joined && i + 1 == count))
            return -1;
        ret_fields[fields++] = is_joined ? words[i] + 9 : words[++i];
    }
    return left;
}

/* --- rounds --------------------------------------------------------------------------------------
 */

static int run(const struct bench_plan *plan, struct bench_result *result)
{
    FILE *progress = isatty(STDERR_FILENO) != 0 ? stderr : NULL;
    for (unsigned i = 0; i < plan->rounds; i++)
        for (unsigned turn = 0; turn < plan->urls_count; turn++) {
            unsigned target = (turn + i) % plan->urls_count;
            struct bench_tally *tally = &result->rounds[target][i];
            const char *why = bench_round(plan, plan->urls[target], progress, tally);
            if (why != NULL) {
                fprintf(stderr, "weir bench: %s: %s\n", plan->urls[target], why);
                return 1;
            }
            bench_tally_merge(&result->all[target], tally);
        }
    for (unsigned i = 0; i < plan->urls_count; i++)
        if (result->all[i].answered == 0)
            return 1;
    return 0;
}

static int save_svg(const char *path, const struct bench_plan *plan,
                    const struct bench_result *result)
{
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        bench_print_svg(file, plan, result);
        if (fclose(file) == 0)
            return 0;
    }
    fprintf(stderr, "weir bench: cannot write %s\n", path);
    return 1;
}

static int bench(const struct words *words, const struct bench_plan *plan)
{
    struct bench_result *result = calloc(1, sizeof(*result));
    if (result == NULL) {
        fprintf(stderr, "weir bench: out of memory\n");
        return 1;
    }
    int status = run(plan, result);
    bool is_done = status == 0 || result->all[0].us.count > 0;
    if (is_done && words->is_json)
        bench_print_json(stdout, plan, result);
    else if (is_done)
        bench_print(stdout, plan, result);
    if (is_done && words->svg != NULL && save_svg(words->svg, plan, result) != 0)
        status = 1;
    free(result);
    return status;
}

int command_bench(int count, char **words)
{
    struct words said = {.is_json = false};
    struct bench_plan plan = {
        .callers = 16, .for_ms = 10000, .warm_ms = 1000, .timeout_ms = 30000, .message_bytes = 100};
    const struct command_option options[] = {{"--vs", &said.vs, NULL},
                                             {"--connections", &said.connections, NULL},
                                             {"--rate", &said.rate, NULL},
                                             {"--for", &said.duration, NULL},
                                             {"--warm", &said.warm, NULL},
                                             {"--rounds", &said.rounds, NULL},
                                             {"--timeout", &said.timeout, NULL},
                                             {"--method", &said.method, NULL},
                                             {"--body", &said.body, NULL},
                                             {"--message", &said.message, NULL},
                                             {"--svg", &said.svg, NULL},
                                             {"--http2", NULL, &plan.http2},
                                             {"--insecure", NULL, &plan.insecure},
                                             {"--json", NULL, &said.is_json},
                                             {0}};
    char *body = NULL;
    int left = take_fields(count, words, said.fields);
    if (left < 0)
        return misused("--header needs a value, at most 16 times", "");
    left = command_options("bench", left, words, options);
    if (left < 0)
        return EXIT_USAGE;
    int status = plan_of(&said, left, words, &plan, &body);
    if (status == 0)
        status = bench(&said, &plan);
    free(body);
    return status;
}
