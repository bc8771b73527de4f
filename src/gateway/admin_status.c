/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_status.c - GET /status: the figures as plain tables of HTML, for who has no JavaScript.
 *
 * Each table is written from what the page of the same name answers, so the two cannot differ.
 * Every text is escaped; nothing on the page runs.
 */
#include "gateway/admin_page.h"
#include "gateway/server.h"
#include "proto/json_read.h"

#include <stdio.h>

#define COLUMNS_MAX 10U
#define CELL_MAX    512U
#define LIST_MAX    (8U << 20U) /* bytes of one list's JSON */

static const struct sheet {
    const char *name;
    struct column {
        const char *member, *title;
    } columns[COLUMNS_MAX];
} lists[] = {
    {"alerts",
     {{"alert", "Alert"},
      {"pool", "Of"},
      {"state", "State"},
      {"value", "Figure"},
      {"threshold", "Threshold"},
      {"message", "What"}}},
    {"pools",
     {{"name", "Pool"},
      {"health", "Health"},
      {"waiting", "Waiting"},
      {"oldest_wait_ms", "Oldest wait, ms"},
      {"active", "Active"},
      {"idle", "Idle"},
      {"dialling", "Dialling"},
      {"total", "Connections"},
      {"max_connections", "At most"},
      {"refused", "Refused"}}},
    {"endpoints",
     {{"upstream", "Upstream"},
      {"endpoint", "Endpoint"},
      {"state", "State"},
      {"mode", "Mode"},
      {"healthy", "Healthy"},
      {"weight", "Weight"},
      {"busy", "Open"},
      {"answered", "Answered"},
      {"failed", "Failed"}}},
    {"accounts",
     {{"upstream", "Upstream"},
      {"account", "Account"},
      {"state", "State"},
      {"reason", "Why it rests"},
      {"cooldown_seconds", "Seconds left"},
      {"in_flight", "In flight"},
      {"concurrent", "At most"},
      {"given_up", "Given up"}}},
    {"listeners",
     {{"name", "Listener"},
      {"state", "State"},
      {"address", "Address"},
      {"connections", "Clients"},
      {"max_connections", "At most"},
      {"requests", "Requests"},
      {"answers_5xx", "5xx"}}},
};

static void write_escaped(struct bytes *out, struct slice text)
{
    for (uint32_t i = 0; i < text.len; i++)
        switch (text.at[i]) {
        case '<': bytes_append_text(out, "&lt;"); break;
        case '>': bytes_append_text(out, "&gt;"); break;
        case '&': bytes_append_text(out, "&amp;"); break;
        case '"': bytes_append_text(out, "&quot;"); break;
        case '\'': bytes_append_text(out, "&#39;"); break;
        default: bytes_append(out, &text.at[i], 1);
        }
}

static void write_cell(struct bytes *out, struct slice row, const char *member, bool heads)
{
    char room[CELL_MAX];
    struct slice value;
    bytes_append_text(out, heads ? "<th scope=\"row\">" : "<td>");
    if (json_member(row, slice_of(member), &value) && !slice_is(value, "null")) {
        size_t len = json_get_text(value, room, sizeof(room));
        write_escaped(out, len != JSON_NO_TEXT ? (struct slice){room, (uint32_t)len} : value);
    }
    bytes_append_text(out, heads ? "</th>" : "</td>");
}

static void write_rows(struct bytes *out, const struct sheet *list, struct slice json)
{
    struct slice rows, name, row;
    struct json_at at = {0};
    if (!json_check(json) || !json_member(json, slice_of(list->name), &rows))
        return;
    while (json_next(rows, &at, &name, &row)) {
        bytes_append_text(out, "<tr>");
        for (uint32_t c = 0; c < COLUMNS_MAX && list->columns[c].member != NULL; c++)
            write_cell(out, row, list->columns[c].member, c == 0);
        bytes_append_text(out, "</tr>\n");
    }
}

static void write_list(const struct server *server, const struct census *census,
                       const struct sheet *list, struct bytes *out)
{
    char path[40];
    unsigned methods;
    struct admin_ask ask = {.query = {"", 0}};
    struct bytes json;
    snprintf(path, sizeof(path), "/api/v1/%s", list->name);
    const struct admin_page *page = admin_page_find(slice_of(path), HTTP_GET, &ask, &methods);
    bytes_init(&json, &alloc_libc, LIST_MAX);
    bytes_printf(out, "<section class=\"card full\"><h2>%s</h2>", list->name);
    bytes_printf(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s\">",
                 list->name);
    bytes_append_text(out, "<table>\n<thead><tr>");
    for (uint32_t c = 0; c < COLUMNS_MAX && list->columns[c].member != NULL; c++)
        bytes_printf(out, "<th scope=\"col\">%s</th>", list->columns[c].title);
    bytes_append_text(out, "</tr></thead>\n<tbody>\n");
    page->write(server, census, false, &json);
    write_rows(out, list, bytes_slice(&json));
    bytes_append_text(out, "</tbody></table></div></section>\n");
    bytes_fini(&json);
}

uint16_t admin_status_write(const struct server *server, const struct census *census,
                            bool openmetrics, struct bytes *out)
{
    (void)openmetrics;
    static const char *const states[] = {"opening", "serving", "draining", "stopped"};
    bytes_printf(out,
                 "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                 "<title>Status of weir</title>"
                 "<link rel=\"icon\" href=\"/page/icon.svg\" type=\"image/svg+xml\">"
                 "<link rel=\"stylesheet\" href=\"/page/style.css\"></head>\n"
                 "<body><main><h1>weir %s is %s</h1>\n<p class=\"dim\">Node ",
                 WEIR_VERSION, states[server->state]);
    write_escaped(out, slice_of(server->node));
    bytes_append_text(out, ". As of now; reload the page for what is new. With JavaScript there is "
                           "<a href=\"/\">more</a>.</p>\n<div class=\"cards\">\n");
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        write_list(server, census, &lists[i], out);
    bytes_append_text(out, "</div></main></body></html>\n");
    return 200;
}
