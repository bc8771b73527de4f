/* SPDX-License-Identifier: Apache-2.0
 *
 * events.c - `weir events`: what has happened, and with -f what happens, a line each.
 *
 * -f reads the admin interface's event stream. When that ends, for whatever reason, it is asked for
 * again, from the last event on that was seen (Last-Event-ID), less and less often; only what
 * cannot be asked at first is an error.
 */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/row.h"
#include "cli/sse_read.h"
#include "cli/terminal.h"
#include "io/oserror.h"
#include "proto/json_read.h"

#include <poll.h>
#include <stdio.h>

#define FILTERS_MAX   16U
#define AGAIN_MIN_MS  250U
#define AGAIN_MAX_MS  5000U
#define EVENTS_PATH   "/api/v1/events"
#define EVENT_STREAM  "text/event-stream"
#define REQUEST_LINES 256U

struct telling {
    const char *filters[FILTERS_MAX]; /* NAME=PATTERN; all of them have to match */
    unsigned filters_count;
    bool is_json;
    uint64_t told;
};

/* --- a row ---------------------------------------------------------------------------------------
 */

static bool is_wanted(const struct telling *telling, struct slice row)
{
    for (unsigned i = 0; i < telling->filters_count; i++) {
        const char *filter = telling->filters[i];
        struct slice name = slice_sub(slice_of(filter), 0, slice_find(slice_of(filter), '='));
        if (!row_matches(row, name, filter + name.len + 1))
            return false;
    }
    return true;
}

/* What is told of it beside when and what; nothing where it says nothing. */
static void print_rest(struct slice row)
{
    struct json_at at = {0};
    struct slice name, value;
    char word[64], cell[ROW_CELL_MAX];
    while (json_next(row, &at, &name, &value)) {
        bool is_empty = slice_is(value, "null") || slice_is(value, "0") || slice_is(value, "\"\"");
        if (is_empty || slice_is(name, "time") || slice_is(name, "event") || slice_is(name, "id"))
            continue;
        if (slice_copy(word, sizeof(word), name) >= sizeof(word))
            continue;
        row_cell(row, word, cell);
        terminal_tame(word);
        printf(" %s=%s", word, cell);
    }
}

static void tell(struct telling *telling, struct slice row, const char *name)
{
    char time[ROW_CELL_MAX], event[ROW_CELL_MAX];
    if (!json_is_object(row) || !is_wanted(telling, row))
        return;
    telling->told++;
    if (telling->is_json) {
        printf("%.*s\n", SLICE_ARG(row));
    } else {
        row_cell(row, "time", time);
        row_cell(row, "event", event);
        printf("%s %s", time, event[0] == '-' && name[0] != '\0' ? name : event);
        print_rest(row);
        printf("\n");
    }
    fflush(stdout);
}

/* --- what has happened ---------------------------------------------------------------------------
 */

static int list(struct telling *telling, struct ask *ask)
{
    struct bytes body;
    struct slice rows, name, row;
    struct json_at at = {0};
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(ask, &body);
    if (status == 0
        && (!json_check(bytes_slice(&body))
            || !json_member(bytes_slice(&body), SLICE("events"), &rows))) {
        fprintf(stderr, "weir events: what answers there is no admin interface\n");
        status = 1;
    }
    while (status == 0 && json_next(rows, &at, &name, &row))
        tell(telling, row, "");
    bytes_fini(&body);
    return status;
}

/* --- what happens --------------------------------------------------------------------------------
 */

static void on_message(void *arg, const struct sse_message *message)
{
    if (json_check(message->data))
        tell(arg, json_trim(message->data), message->name);
}

static void on_data(void *arg, struct slice data)
{
    sse_reader_feed(arg, data);
}

/* One connection, until it ends. 0: the stream has ended; 1: there was none. */
static int follow_once(struct ask *ask, struct sse_reader *reader)
{
    struct ask_flow flow;
    char fields[REQUEST_LINES];
    snprintf(fields, sizeof(fields), "Accept: " EVENT_STREAM "\r\n%s%s%s",
             reader->id[0] != '\0' ? "Last-Event-ID: " : "", reader->id,
             reader->id[0] != '\0' ? "\r\n" : "");
    ask->fields = fields;
    int status = ask_flow_open(ask, &flow);
    ask->fields = NULL;
    if (status != 0)
        return status;
    if (!slice_starts(slice_of(flow.type), SLICE(EVENT_STREAM))) {
        snprintf(ask->ret_why, ASK_WHY_MAX, "this gateway does not stream its events");
        ask_flow_close(&flow);
        return 1;
    }
    sse_reader_again(reader);
    while (ask_flow_next(&flow, on_data, reader) == 1)
        ;
    ask_flow_close(&flow);
    return ferror(stdout) ? 1 : 0;
}

static int follow(struct telling *telling, struct ask *ask)
{
    struct sse_reader reader;
    char why[ASK_WHY_MAX];
    uint64_t again_ms = AGAIN_MIN_MS;
    bool was_there = false, is_told = false;
    sse_reader_init(&reader, on_message, telling);
    ask->ret_why = why;
    for (;;) {
        uint64_t before = telling->told;
        why[0] = '\0';
        int status = follow_once(ask, &reader);
        if ((status != 0 && !was_there) || ferror(stdout))
            break;
        if (status == 0 || telling->told != before) {
            again_ms = AGAIN_MIN_MS;
            is_told = false;
        }
        was_there = true;
        if (!is_told)
            fprintf(stderr, "weir events: the gateway is away%s%s; asking again\n",
                    why[0] != '\0' ? ": " : "", why);
        is_told = true;
        poll(NULL, 0,
             (int)(reader.retry_ms > again_ms && reader.retry_ms < AGAIN_MAX_MS ? reader.retry_ms
                                                                                : again_ms));
        again_ms = 2 * again_ms < AGAIN_MAX_MS ? 2 * again_ms : AGAIN_MAX_MS;
    }
    sse_reader_fini(&reader);
    ask->ret_why = NULL;
    if (why[0] != '\0')
        fprintf(stderr, "weir events: %s\n", why);
    return 1;
}

int command_events(int count, char **words)
{
    const char *output = "lines";
    bool follows = false;
    struct ask ask = {.command = "events", .path = EVENTS_PATH};
    struct telling telling = {.is_json = false};
    const struct command_option options[] = {
        {"-f", NULL, &follows},        {"--follow", NULL, &follows},
        {"-o", &output, NULL},         {"--output", &output, NULL},
        {"-c", &ask.config, NULL},     {"--config", &ask.config, NULL},
        {"--admin", &ask.admin, NULL}, {0}};
    int left = command_options("events", count, words, options);
    if (left < 0)
        return EXIT_USAGE;
    telling.is_json = strcmp(output, "json") == 0;
    if (!telling.is_json && strcmp(output, "lines") != 0) {
        fprintf(stderr, "weir events: -o is lines or json, not %s\n", output);
        return EXIT_USAGE;
    }
    for (int i = 0; i < left; i++) {
        if (strchr(words[i], '=') == NULL || telling.filters_count == FILTERS_MAX) {
            fprintf(stderr, "weir events: not understood: %s\n", words[i]);
            return EXIT_USAGE;
        }
        telling.filters[telling.filters_count++] = words[i];
    }
    return follows ? follow(&telling, &ask) : list(&telling, &ask);
}
