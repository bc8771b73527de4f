/* SPDX-License-Identifier: Apache-2.0
 *
 * reload.c - `weir reload`: the running gateway reads its file again; what changed, and what came
 * of it.
 */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/row.h"
#include "proto/json.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_S 60
#define BODY_MAX  1024U

static const char *sign_of(const char *change)
{
    return strcmp(change, "added") == 0 ? "+" : strcmp(change, "removed") == 0 ? "-" : "~";
}

/* "~ upstreams[api].balance: p2c -> hash   (new connections)" */
static void print_change(struct slice row)
{
    char path[ROW_CELL_MAX], change[ROW_CELL_MAX], running[ROW_CELL_MAX], wanted[ROW_CELL_MAX],
        apply[ROW_CELL_MAX];
    row_cell(row, "path", path);
    row_cell(row, "change", change);
    row_cell(row, "running", running);
    row_cell(row, "wanted", wanted);
    row_cell(row, "apply", apply);
    printf("%s %s", sign_of(change), path);
    if (strcmp(change, "changed") == 0)
        printf(": %s -> %s", running, wanted);
    printf("  (%s)\n", apply);
}

static void print_verdict(struct slice body)
{
    struct json_at at = {0};
    struct slice list, name, row;
    char message[ROW_CELL_MAX], generation[ROW_CELL_MAX];
    if (json_member(body, SLICE("changes"), &list))
        while (json_next(list, &at, &name, &row))
            print_change(row);
    row_cell(body, "message", message);
    row_cell(body, "generation", generation);
    printf("%s; generation %s\n", message, generation);
}

/* {"reason": "…"}. False: it is too long. */
static bool say_reason(const char *reason, char room[static BODY_MAX], struct slice *ret)
{
    struct json json = json_into(room, BODY_MAX);
    json_open(&json, NULL, '{');
    json_text(&json, "reason", reason);
    json_close(&json, '}');
    *ret = (struct slice){room, (uint32_t)json.len};
    return !json.full;
}

int command_reload(int count, char **words)
{
    const char *output = "text", *reason = NULL;
    char said[BODY_MAX];
    struct ask ask = {
        .command = "reload", .path = "/api/v1/reload", .method = "POST", .timeout_s = TIMEOUT_S};
    const struct command_option options[] = {{"-c", &ask.config, NULL},
                                             {"--config", &ask.config, NULL},
                                             {"--admin", &ask.admin, NULL},
                                             {"-o", &output, NULL},
                                             {"--output", &output, NULL},
                                             {"--reason", &reason, NULL},
                                             {0}};
    struct bytes body;
    int left = command_options("reload", count, words, options);
    if (left < 0)
        return EXIT_USAGE;
    if (left > 0) {
        fprintf(stderr, "weir reload: not understood: %s\n", words[0]);
        return EXIT_USAGE;
    }
    if (reason != NULL && !say_reason(reason, said, &ask.input)) {
        fprintf(stderr, "weir reload: the reason is too long\n");
        return EXIT_USAGE;
    }
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(&ask, &body);
    if (status == 0 && strcmp(output, "json") == 0)
        printf("%.*s\n", SLICE_ARG(json_trim(bytes_slice(&body))));
    else if (status == 0 && json_check(bytes_slice(&body)))
        print_verdict(json_trim(bytes_slice(&body)));
    bytes_fini(&body);
    return status;
}
