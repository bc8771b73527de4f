/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.c - `weir profile`: where the time of an upstream's requests went, by endpoint and by
 * account, and its slowest requests; as tables, as it came, or as a picture.
 */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/row.h"
#include "cli/terminal.h"
#include "cli/url.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHASES      5U
#define PATH_BYTES  512U
#define SVG_WIDTH   960
#define SVG_LEFT    180
#define SVG_BAR     22
#define SVG_PLOT    (SVG_WIDTH - SVG_LEFT - 120)
#define SVG_SLOWEST 30U

static const char *const phases[PHASES] = {"queue", "connect", "tls", "first_byte", "transfer"};
static const char *const colours[PHASES] = {"#9ca3af", "#f59e0b", "#a855f7", "#3b82f6", "#10b981"};

static double seconds_of(struct slice row, const char *name)
{
    char cell[ROW_CELL_MAX];
    row_cell(row, name, cell);
    return strtod(cell, NULL);
}

static double all_of(struct slice row)
{
    double all = 0;
    for (unsigned i = 0; i < PHASES; i++)
        all += seconds_of(row, phases[i]);
    return all;
}

static void print_ms(double seconds, int width)
{
    printf(" %*.*f", width, seconds < 1 ? 3 : 1, 1000 * seconds);
}

/* --- tables --------------------------------------------------------------------------------------
 */

/* Means, and which share of the time each phase had. */
static void print_group(struct slice page, const char *list, const char *title)
{
    struct slice rows, name, row;
    struct json_at at = {0};
    char cell[ROW_CELL_MAX];
    if (!json_member(page, slice_of(list), &rows) || !json_next(rows, &at, &name, &row))
        return;
    at = (struct json_at){0};
    printf("%-28s %9s %7s", title, "requests", "failed");
    for (unsigned i = 0; i < PHASES; i++)
        printf(" %10s", phases[i]);
    printf(" %10s %10s\n", "mean ms", "slowest");
    while (json_next(rows, &at, &name, &row)) {
        double requests = (double)row_u64(row, "requests");
        double each = requests > 0 ? 1 / requests : 0;
        row_cell(row, "name", cell);
        size_t width = terminal_width(cell);
        printf("%s%*s %9llu %7llu", cell, width < 28 ? (int)(28 - width) : 0, "",
               (unsigned long long)row_u64(row, "requests"),
               (unsigned long long)row_u64(row, "failed"));
        for (unsigned i = 0; i < PHASES; i++)
            print_ms(seconds_of(row, phases[i]) * each, 10);
        print_ms(all_of(row) * each, 10);
        print_ms(seconds_of(row, "slowest"), 10);
        printf("\n");
    }
    printf("\n");
}

static void print_slowest(struct slice page, uint64_t most)
{
    static const char *const words[] = {"status", "error", "endpoint", "account"};
    struct slice rows, name, row;
    struct json_at at = {0};
    char cell[ROW_CELL_MAX];
    if (!json_member(page, SLICE("slowest"), &rows))
        return;
    printf("%-24s %10s", "slowest: ended", "ms");
    for (unsigned i = 0; i < PHASES; i++)
        printf(" %10s", phases[i]);
    printf("  request\n");
    while (most-- > 0 && json_next(rows, &at, &name, &row)) {
        row_cell(row, "time", cell);
        printf("%-24s", cell);
        print_ms(seconds_of(row, "total"), 10);
        for (unsigned i = 0; i < PHASES; i++)
            print_ms(seconds_of(row, phases[i]), 10);
        row_cell(row, "method", cell);
        printf("  %s", cell);
        row_cell(row, "path", cell);
        printf(" %s", cell);
        for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            row_cell(row, words[i], cell);
            if (strcmp(cell, "-") != 0)
                printf(" %s", cell);
        }
        printf("\n");
    }
}

/* --- the picture ---------------------------------------------------------------------------------
 */

static void put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '&' || *text == '>')
            fprintf(out, "&#%d;", *text);
        else
            fputc(*text, out);
    }
}

/* A bar of the row's phases, each so long as its time, of which `most` fills the plot. */
static void put_bar(FILE *out, struct slice row, double most, double scale, int y,
                    const char *label)
{
    double x = SVG_LEFT;
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", SVG_LEFT - 8, y + 14);
    put_escaped(out, label);
    fputs("</text>\n", out);
    for (unsigned i = 0; i < PHASES; i++) {
        double seconds = scale * seconds_of(row, phases[i]);
        double width = most > 0 ? SVG_PLOT * seconds / most : 0;
        fprintf(out,
                "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>%s: "
                "%.3f ms</title></rect>\n",
                x, y, width, SVG_BAR - 6, colours[i], phases[i], 1000 * seconds);
        x += width;
    }
    fprintf(out, "<text x=\"%.1f\" y=\"%d\">%.1f ms</text>\n", x + 6, y + 14,
            1000 * scale * all_of(row));
}

static int put_rows(FILE *out, struct slice rows, bool is_mean, int y)
{
    struct slice name, row;
    struct json_at at = {0};
    double most = 0;
    char cell[ROW_CELL_MAX], label[32];
    for (unsigned i = 0; i < SVG_SLOWEST && json_next(rows, &at, &name, &row); i++) {
        double each = is_mean && row_u64(row, "requests") > 0 ? 1 / (double)row_u64(row, "requests")
                                                              : 1;
        most = all_of(row) * each > most ? all_of(row) * each : most;
    }
    at = (struct json_at){0};
    for (unsigned i = 0; i < SVG_SLOWEST && json_next(rows, &at, &name, &row); i++) {
        double each = is_mean && row_u64(row, "requests") > 0 ? 1 / (double)row_u64(row, "requests")
                                                              : 1;
        row_cell(row, is_mean ? "name" : "path", cell);
        snprintf(label, sizeof(label), "%.24s", cell);
        terminal_tame(label);
        put_bar(out, row, most, each, y, label);
        y += SVG_BAR;
    }
    return y;
}

static int save_svg(const char *path, const char *pool, struct slice page)
{
    static const char *const lists[] = {"endpoints", "accounts", "slowest"};
    static const char *const titles[] = {"mean of a request, by endpoint",
                                         "mean of a request, by account", "the slowest requests"};
    struct slice rows;
    int y = 70, height = 140 + (int)(SVG_SLOWEST * 3 + 6) * SVG_BAR;
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        fprintf(stderr, "weir profile: cannot write %s\n", path);
        return 1;
    }
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"13\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<text x=\"16\" y=\"28\">where time "
            "went: ",
            SVG_WIDTH, height, SVG_WIDTH, height);
    put_escaped(out, pool);
    fputs("</text>\n", out);
    for (unsigned i = 0; i < PHASES; i++)
        fprintf(out,
                "<rect x=\"%u\" y=\"38\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%u\" "
                "y=\"49\">%s</text>\n",
                16 + 130 * i, colours[i], 34 + 130 * i, phases[i]);
    for (unsigned i = 0; i < 3; i++) {
        if (!json_member(page, slice_of(lists[i]), &rows) || slice_is(rows, "[]"))
            continue;
        fprintf(out, "<text x=\"16\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y + 14, titles[i]);
        y = put_rows(out, rows, i < 2, y + SVG_BAR) + SVG_BAR / 2;
    }
    fputs("</svg>\n", out);
    return fclose(out) == 0 ? 0 : 1;
}

/* --- the command ---------------------------------------------------------------------------------
 */

static int misused(const char *why, const char *word)
{
    fprintf(stderr, "weir profile: %s%s; `weir profile --help` says more\n", why, word);
    return EXIT_USAGE;
}

static int show(const struct ask *ask, const char *pool, bool is_json, uint64_t most,
                const char *svg)
{
    struct bytes body;
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(ask, &body);
    struct slice page = bytes_slice(&body);
    if (status == 0 && !json_check(page)) {
        fprintf(stderr, "weir profile: what answers there is no admin interface\n");
        status = 1;
    }
    page = status == 0 ? json_trim(page) : page;
    if (status == 0 && is_json) {
        printf("%.*s\n", SLICE_ARG(page));
    } else if (status == 0) {
        printf("%s: means in milliseconds\n\n", pool);
        print_group(page, "endpoints", "endpoint");
        print_group(page, "accounts", "account");
        print_slowest(page, most);
    }
    if (status == 0 && svg != NULL)
        status = save_svg(svg, pool, page);
    bytes_fini(&body);
    return status;
}

int command_profile(int count, char **words)
{
    const char *output = "table", *svg = NULL, *limit = NULL;
    struct ask ask = {.command = "profile"};
    const struct command_option options[] = {
        {"-o", &output, NULL},         {"--output", &output, NULL},
        {"--svg", &svg, NULL},         {"--slowest", &limit, NULL},
        {"-c", &ask.config, NULL},     {"--config", &ask.config, NULL},
        {"--admin", &ask.admin, NULL}, {0}};
    char path[PATH_BYTES], name[PATH_BYTES - 64];
    uint64_t most = 20;
    int left = command_options("profile", count, words, options);
    if (left < 0)
        return EXIT_USAGE;
    if (left != 1)
        return misused(left == 0 ? "of which pool" : "not understood: ",
                       left == 0 ? "?" : words[1]);
    bool is_json = strcmp(output, "json") == 0;
    if (!is_json && strcmp(output, "table") != 0)
        return misused("-o is table or json, not ", output);
    if (limit != NULL && (!text_parse_u64(slice_of(limit), &most) || most > 100))
        return misused("--slowest is 0 to 100, not ", limit);
    if (url_escape(name, sizeof(name), slice_of(words[0])) >= sizeof(name))
        return misused("the name is too long: ", words[0]);
    snprintf(path, sizeof(path), "/api/v1/pools/%s/profile", name);
    ask.path = path;
    int status = show(&ask, words[0], is_json, most, svg);
    ask.path = NULL;
    return status;
}
