/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - `weir explain`: of a key, why a connection was, or was not, reused; of a
 * conversation, why it is where it is; of a request that is described, where it would go now.
 */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/explain_session.h"
#include "cli/row.h"
#include "cli/terminal.h"
#include "cli/url.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096U
#define TEXT_BYTES 65536U

static int misused(const char *why, const char *word)
{
    fprintf(stderr, "weir explain: %s%s; `weir explain --help` says more\n", why, word);
    return EXIT_USAGE;
}

/* --- what is printed -----------------------------------------------------------------------------
 */

/* Of a key: what each worker and pool says, in its own lines. */
static void print_lines(struct slice value)
{
    char *text = malloc(TEXT_BYTES);
    if (text == NULL || json_get_text(value, text, TEXT_BYTES) == JSON_NO_TEXT) {
        free(text);
        return;
    }
    for (char *line = text, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        if (*end != '\0')
            *end++ = '\0';
        terminal_tame(line);
        printf("  %s\n", line);
    }
    free(text);
}

static bool print_key(struct slice page)
{
    struct slice rows, name, row, text;
    struct json_at at = {0};
    char worker[ROW_CELL_MAX], pool[ROW_CELL_MAX];
    if (!json_member(page, SLICE("explained"), &rows))
        return false;
    while (json_next(rows, &at, &name, &row)) {
        row_cell(row, "worker", worker);
        row_cell(row, "pool", pool);
        printf("pool %s, worker %s\n", pool, worker);
        if (json_member(row, SLICE("text"), &text))
            print_lines(text);
    }
    return true;
}

static void print_members(struct slice object, const char *between)
{
    struct slice name, value;
    struct json_at at = {0};
    char word[64], cell[ROW_CELL_MAX];
    bool is_first = true;
    while (json_next(object, &at, &name, &value)) {
        if (slice_copy(word, sizeof(word), name) >= sizeof(word))
            continue;
        row_cell(object, word, cell);
        terminal_tame(word);
        printf("%s%s=%s", is_first ? "" : between, word, cell);
        is_first = false;
    }
    printf("\n");
}

/* Of a list of texts. */
static void print_element(struct slice value)
{
    char text[ROW_CELL_MAX];
    if (json_get_text(value, text, sizeof(text)) == JSON_NO_TEXT)
        slice_copy(text, sizeof(text), value);
    terminal_tame(text);
    printf("%s\n", text);
}

/* Of a request: a line for each step of its way. */
static bool print_request(struct slice page)
{
    struct slice name, value, none, row;
    struct json_at at = {0};
    char word[64], cell[ROW_CELL_MAX];
    if (!json_is_object(page))
        return false;
    while (json_next(page, &at, &name, &value)) {
        struct json_at in = {0};
        if (slice_copy(word, sizeof(word), name) >= sizeof(word))
            continue;
        row_cell(page, word, cell);
        terminal_tame(word);
        if (json_is_object(value)) {
            printf("%-10s ", word);
            print_members(value, " ");
        } else if (value.at[0] == '[') {
            printf("%s\n", word);
            while (json_next(value, &in, &none, &row)) {
                printf("  ");
                if (json_is_object(row))
                    print_members(row, " ");
                else
                    print_element(row);
            }
        } else {
            printf("%-10s %s\n", word, cell);
        }
    }
    return true;
}

static int show(const struct ask *ask, bool is_json, bool is_key)
{
    struct bytes body;
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(ask, &body);
    struct slice page = bytes_slice(&body);
    bool is_page = status == 0 && json_check(page);
    page = is_page ? json_trim(page) : page;
    if (is_page && is_json)
        printf("%.*s\n", SLICE_ARG(page));
    else if (is_page)
        is_page = is_key ? print_key(page) : print_request(page);
    if (status == 0 && !is_page) {
        fprintf(stderr, "weir explain: what answers there is no admin interface\n");
        status = 1;
    }
    bytes_fini(&body);
    return status;
}

/* --- the command ---------------------------------------------------------------------------------
 */

/* What is asked about; `value` is what was said of it, or NULL. */
struct about {
    const char *name, *value;
};

/* False: it is too long. */
static bool add_about(char path[PATH_BYTES], const struct about *about, bool is_first)
{
    size_t len = strlen(path);
    len += (size_t)snprintf(path + len, PATH_BYTES - len, "%c%s=", is_first ? '?' : '&',
                            about->name);
    return len < PATH_BYTES
           && url_escape(path + len, PATH_BYTES - len, slice_of(about->value)) < PATH_BYTES - len;
}

int command_explain(int count, char **words)
{
    struct about about[] = {{"key", NULL},     {"pool", NULL},     {"host", NULL},
                            {"path", NULL},    {"method", NULL},   {"header", NULL},
                            {"session", NULL}, {"model", NULL},    {"client", NULL},
                            {"address", NULL}, {"listener", NULL}, {"worker", NULL}};
    const char *output = "text";
    struct ask ask = {.command = "explain"};
    const struct command_option options[] = {{"--pool", &about[1].value, NULL},
                                             {"--host", &about[2].value, NULL},
                                             {"--path", &about[3].value, NULL},
                                             {"--method", &about[4].value, NULL},
                                             {"--header", &about[5].value, NULL},
                                             {"--session", &about[6].value, NULL},
                                             {"--model", &about[7].value, NULL},
                                             {"--client", &about[8].value, NULL},
                                             {"--address", &about[9].value, NULL},
                                             {"--listener", &about[10].value, NULL},
                                             {"--worker", &about[11].value, NULL},
                                             {"-o", &output, NULL},
                                             {"--output", &output, NULL},
                                             {"-c", &ask.config, NULL},
                                             {"--config", &ask.config, NULL},
                                             {"--admin", &ask.admin, NULL},
                                             {0}};
    char path[PATH_BYTES];
    int left = command_options("explain", count, words, options);
    bool is_json = strcmp(output, "json") == 0, is_key = left == 1, is_first = true;
    if (left < 0)
        return EXIT_USAGE;
    if (left > 1)
        return misused("not understood: ", words[1]);
    if (!is_json && strcmp(output, "text") != 0)
        return misused("-o is text or json, not ", output);
    about[0].value = is_key ? words[0] : NULL;
    if (is_key && strstr(words[0], "://") == NULL && about[1].value == NULL)
        return explain_session(&ask, words[0], is_json);
    snprintf(path, sizeof(path), is_key ? "/api/v1/keys/explain" : "/api/v1/explain");
    for (size_t i = 0; i < sizeof(about) / sizeof(about[0]); i++) {
        if (about[i].value == NULL)
            continue;
        if (is_key != (i < 2))
            return misused(is_key ? "a key is asked for, or a request, not both: --"
                                  : "of which key? --",
                           about[i].name);
        if (!add_about(path, &about[i], is_first))
            return misused("too long: ", about[i].value);
        is_first = false;
    }
    if (is_first)
        return misused("a KEY, a SESSION, or --path and what else a request has", "");
    ask.path = path;
    int status = show(&ask, is_json, is_key);
    ask.path = NULL;
    return status;
}
