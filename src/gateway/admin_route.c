/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_route.c - the table of the admin interface, and how a request finds its page in it.
 */
#include "gateway/admin_latency.h"
#include "gateway/admin_page.h"
#include "gateway/metrics.h"
#include "listener/counters.h"
#include "listener/http2.h"

#define JSON_TYPE   "application/json"
#define STREAM_TYPE "text/event-stream"
#define HTML_TYPE   "text/html; charset=utf-8"
#define TEXT_TYPE   "text/plain; charset=utf-8"
#define ANY_TYPE    NULL

#define PAGE(METHOD, path, ROLE, row_type, row_text, ...)                                          \
    {.kind = ADMIN_ROW_PAGE,                                                                       \
     .name = (path),                                                                               \
     .text = (row_text),                                                                           \
     .page = {.method = HTTP_##METHOD, .role = ADMIN_##ROLE, .type = row_type, __VA_ARGS__}},
#define LIST(row_name, row_text)                                                                   \
    {.kind = ADMIN_ROW_LIST, .name = (row_name), .type = "list", .text = (row_text)},
#define QUERY(row_name, row_type, row_text)                                                        \
    {.kind = ADMIN_ROW_QUERY, .name = (row_name), .type = (row_type), .text = (row_text)},
#define BODY(row_name, row_type, row_text)                                                         \
    {.kind = ADMIN_ROW_BODY, .name = (row_name), .type = (row_type), .text = (row_text)},
#define FIELD(row_name, row_type, row_text)                                                        \
    {.kind = ADMIN_ROW_FIELD, .name = (row_name), .type = (row_type), .text = (row_text)},

const struct admin_row admin_table[] = {
#include "gateway/admin.def"
};
const uint32_t admin_table_count = sizeof(admin_table) / sizeof(admin_table[0]);

/* A part of a path, as a client may write it. */
static bool names_part(struct slice pattern, struct slice part, uint32_t *names,
                       struct admin_ask *ret_ask)
{
    if (pattern.len == 0 || pattern.at[0] != '{')
        return slice_same(pattern, part);
    char *name = ret_ask->names[*names];
    uint32_t len;
    (*names)++;
    return text_percent_decode(part, false, name, sizeof(ret_ask->names[0]), &len) && len > 0;
}

static bool is_at(const char *pattern, struct slice path, struct admin_ask *ret_ask)
{
    struct slice wanted = slice_of(pattern), pattern_part, part;
    uint32_t names = 0;
    for (;;) {
        bool more = slice_split(&wanted, '/', &pattern_part);
        if (more != slice_split(&path, '/', &part))
            return false;
        if (!more)
            return true;
        if (!names_part(pattern_part, part, &names, ret_ask))
            return false;
    }
}

const struct admin_page *admin_page_find(struct slice path, enum http_method method,
                                         struct admin_ask *ret_ask, unsigned *ret_methods)
{
    const struct admin_row *found = NULL;
    *ret_methods = 0;
    for (uint32_t i = 0; path.len < ADMIN_PATH_MAX && i < admin_table_count; i++) {
        const struct admin_row *row = &admin_table[i];
        if (row->kind != ADMIN_ROW_PAGE || !is_at(row->name, path, ret_ask))
            continue;
        *ret_methods |= 1U << row->page.method;
        bool is_it = row->page.method == method
                     || (row->page.method == HTTP_GET && method == HTTP_HEAD);
        found = is_it ? row : found;
    }
    if (found == NULL)
        return NULL;
    is_at(found->name, path, ret_ask); /* others that are alike have left their names there */
    return &found->page;
}
