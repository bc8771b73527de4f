/* SPDX-License-Identifier: Apache-2.0
 *
 * show.c - `weir show`: a list of the admin interface as a table, or as it came.
 */
#include "base/bytes.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/row.h"
#include "cli/terminal.h"
#include "cli/url.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_MAX 12U
#define GAP         2U /* between columns, and before what goes on in a further line */
#define QUERY_MAX   2048U

/* What can be shown, and the columns of its table. */
static const struct shown {
    const char *name;
    const char *columns[COLUMNS_MAX];
} pages[] = {
    {"pools",
     {"name", "kind", "health", "total", "idle", "active", "waiting", "max_connections", "created",
      "reused", "refused"}},
    {"endpoints",
     {"upstream", "endpoint", "url", "mode", "state", "healthy", "weight", "priority", "busy",
      "answered", "failed"}},
    {"accounts",
     {"upstream", "account", "state", "reason", "cooldown_seconds", "in_flight", "concurrent",
      "priority", "weight", "input_tokens", "output_tokens"}},
    {"keys",
     {"key", "worker", "pool", "state", "idle", "active", "waiting", "grants", "reused", "errors"}},
    {"connections",
     {"id", "worker", "pool", "key", "state", "why", "uses", "age_ms", "in_state_ms"}},
    {"listeners",
     {"name", "address", "port", "state", "connections", "max_connections", "requests"}},
    {"clients",
     {"client", "priority", "in_flight", "waiting", "share", "concurrent", "limits", "requests",
      "refused_concurrent", "refused_rate", "input_tokens", "output_tokens"}},
    {"sessions",
     {"id", "upstream", "account", "key", "user", "status", "epoch", "requests", "idle_seconds",
      "expires_seconds"}},
    {"certificates", {"listener", "certificate", "days_left", "weakness"}},
    {"alerts",
     {"alert", "pool", "state", "since_seconds", "value", "threshold", "fired", "message"}},
    {"capacity",
     {"pool", "arrivals_per_second", "hold_seconds", "connections", "max_connections",
      "utilization", "measured_wait_seconds", "predicted_wait_seconds", "advised_max_connections",
      "advised_min_idle", "advice"}},
    {"generations", {"generation", "since", "current"}},
    {"discovery", {"upstream", "source", "state", "endpoints", "last_success", "error"}},
    {"events",
     {"time", "event", "worker", "pool", "key", "account", "from", "session", "what", "why",
      "total", "waiting"}},
    {"process",
     {"node", "version", "state", "pid", "generation", "started", "uptime_seconds",
      "resident_bytes", "cpu_seconds", "user", "capabilities", "sandbox"}},
};

static const struct shown *find(const char *name)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        if (strcmp(pages[i].name, name) == 0)
            return &pages[i];
    return NULL;
}

/* --- the table -----------------------------------------------------------------------------------
 */

struct table {
    const struct shown *page;
    struct slice rows; /* an array, or one object */
    size_t widths[COLUMNS_MAX];
    size_t room; /* letters of a line; SIZE_MAX: any */
    unsigned count;
};

/* A terminal's columns; what is no terminal gets a line for each row, however long. */
static size_t room_of_output(void)
{
    struct winsize size;
    bool is_known = isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    return is_known && size.ws_col > GAP ? size.ws_col : SIZE_MAX;
}

/* The bytes of the text for which there is room, up to a space where there is one. */
static size_t part_of(const char *text, size_t room)
{
    size_t at = 0, space = 0, letters = 0;
    for (; text[at] != '\0'; at++) {
        bool is_begin = ((unsigned char)text[at] & 0xc0) != 0x80;
        if (text[at] == ' ')
            space = at;
        if (is_begin && letters++ == room)
            return space > 0 ? space : at;
    }
    return at;
}

/* What is longer than a line goes on in the next. */
static void print_cell(const struct table *table, const char *cell)
{
    while (*cell != '\0') {
        size_t len = part_of(cell, table->room - GAP);
        printf("%.*s", (int)len, cell);
        cell += len;
        cell += *cell == ' ';
        if (*cell != '\0')
            printf("\n%*s", (int)GAP, "");
    }
}

/* A column for which there is no room begins a further line, of the headings as of each row. */
static void print_row(const struct table *table, struct slice row)
{
    char cell[ROW_CELL_MAX];
    size_t at = 0, pad = 0;
    for (unsigned c = 0; c < table->count; c++) {
        size_t gap = c > 0 ? GAP : 0;
        if (row.at != NULL)
            row_cell(row, table->page->columns[c], cell);
        else
            snprintf(cell, sizeof(cell), "%s", table->page->columns[c]);
        if (c > 0 && at + gap + table->widths[c] > table->room) {
            printf("\n");
            at = pad = 0;
        }
        printf("%*s", (int)(pad + gap), "");
        print_cell(table, cell);
        pad = table->widths[c] - terminal_width(cell);
        at += gap + table->widths[c];
    }
    printf("\n");
}

static void measure(struct table *table, struct slice row)
{
    char cell[ROW_CELL_MAX];
    for (unsigned c = 0; c < table->count; c++) {
        row_cell(row, table->page->columns[c], cell);
        size_t width = terminal_width(cell);
        table->widths[c] = width > table->widths[c] ? width : table->widths[c];
    }
}

static void each_row(struct table *table, void (*fn)(struct table *table, struct slice row))
{
    struct json_at at = {0};
    struct slice name, row;
    if (json_is_object(table->rows)) {
        fn(table, table->rows);
        return;
    }
    while (json_next(table->rows, &at, &name, &row))
        fn(table, row);
}

static void print_one(struct table *table, struct slice row)
{
    print_row(table, row);
}

/* --- what one object tells of its parts, below its row ---
 *
 *     overload.level  calm
 */

/* One of them, its name to be as wide as that; where that is 0 it is not printed. Its width. */
static size_t print_part(struct slice part, struct slice name, struct slice value, size_t width)
{
    char member[64], said[160], cell[ROW_CELL_MAX];
    slice_copy(member, sizeof(member), name);
    snprintf(said, sizeof(said), "%.*s.%s", (int)(part.len < 64 ? part.len : 64), part.at, member);
    terminal_tame(said);
    size_t is = terminal_width(said);
    if (width > 0) {
        row_cell(value, member, cell);
        printf("%s%*s  %s\n", said, (int)(width > is ? width - is : 0), "", cell);
    }
    return is;
}

/* All of them. How wide the widest name is. */
static size_t print_parts(struct slice object, size_t width)
{
    struct json_at at = {0};
    struct slice part, value;
    size_t widest = 0;
    while (json_next(object, &at, &part, &value)) {
        struct json_at inner = {0};
        struct slice name, ignored;
        while (json_is_object(value) && json_next(value, &inner, &name, &ignored)) {
            size_t is = print_part(part, name, value, width);
            widest = is > widest ? is : widest;
        }
    }
    return widest;
}

static void print_object_parts(struct slice object)
{
    size_t width = print_parts(object, 0);
    if (width > 0) {
        printf("\n");
        print_parts(object, width);
    }
}

/* False: it is not what such a page says. */
static bool print_table(const struct shown *page, struct slice body)
{
    struct table table = {.page = page, .room = room_of_output()};
    struct slice cut;
    bool is_cut = false;
    if (!json_check(body))
        return false;
    body = json_trim(body);
    if (!json_member(body, slice_of(page->name), &table.rows))
        table.rows = body;
    while (table.count < COLUMNS_MAX && page->columns[table.count] != NULL) {
        table.widths[table.count] = strlen(page->columns[table.count]);
        table.count++;
    }
    each_row(&table, measure);
    print_row(&table, (struct slice){NULL, 0});
    each_row(&table, print_one);
    if (json_is_object(table.rows))
        print_object_parts(table.rows);
    if (json_member(body, SLICE("cut"), &cut) && json_get_bool(cut, &is_cut) && is_cut)
        printf("… and more\n");
    return true;
}

/* --- the command ---------------------------------------------------------------------------------
 */

static int usage(const char *why, const char *what)
{
    fprintf(stderr, "weir show: %s%s; `weir show --help` says what can be shown\n", why, what);
    return EXIT_USAGE;
}

/* "user=ann" as the query says it. False: it is none, or there is no room. */
static bool add_word(char path[QUERY_MAX], const char *word, bool is_first)
{
    struct slice rest = slice_of(word);
    size_t len = strlen(path);
    uint32_t equals = slice_find(rest, '=');
    if (equals == rest.len || len + 3 * (size_t)rest.len + 2 > QUERY_MAX)
        return false;
    path[len++] = is_first ? '?' : '&';
    len += url_escape(path + len, QUERY_MAX - len, slice_sub(rest, 0, equals));
    path[len++] = '=';
    url_escape(path + len, QUERY_MAX - len, slice_sub(rest, equals + 1, rest.len));
    return true;
}

static int show(const struct shown *page, const struct ask *ask, bool is_json)
{
    struct bytes body;
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(ask, &body);
    if (status == 0 && is_json) {
        printf("%.*s", (int)bytes_len(&body), bytes_at(&body));
    } else if (status == 0 && !print_table(page, bytes_slice(&body))) {
        fprintf(stderr, "weir show: what answers there is no admin interface\n");
        status = 1;
    }
    bytes_fini(&body);
    return status;
}

int command_show(int count, char **words)
{
    const char *output = "table";
    struct ask ask = {.command = "show"};
    const struct command_option options[] = {
        {"-o", &output, NULL},           {"--output", &output, NULL},   {"-c", &ask.config, NULL},
        {"--config", &ask.config, NULL}, {"--admin", &ask.admin, NULL}, {0}};
    char path[QUERY_MAX];
    int left = command_options("show", count, words, options);
    bool is_json = strcmp(output, "json") == 0;
    if (left < 0)
        return EXIT_USAGE;
    if (!is_json && strcmp(output, "table") != 0)
        return usage("-o is table or json, not ", output);
    const struct shown *page = left > 0 ? find(words[0]) : NULL;
    if (page == NULL)
        return usage(left > 0 ? "there is no list of " : "what?", left > 0 ? words[0] : "");
    snprintf(path, sizeof(path), "/api/v1/%s", page->name);
    for (int i = 1; i < left; i++)
        if (strcmp(page->name, "sessions") != 0 || !add_word(path, words[i], i == 1))
            return usage("not understood: ", words[i]);
    ask.path = path;
    return show(page, &ask, is_json);
}
