/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_config.c - the configuration in force, and what another one would change in it.
 *
 * Both are compared as they are dumped: every option with its value, secrets as ***. Lists whose
 * elements have names are compared name by name, others as a whole. What a client sends may not
 * open files here; and what ${…} stands for is not told, since it may be anything of our
 * environment.
 */
#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/config_dump.h"
#include "gateway/option.h"
#include "gateway/server.h"
#include "proto/json_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define DUMP_MAX  (16U << 20)
#define PATH_LEN  512U
#define DEPTH_MAX 16U
#define SHOWN_MAX 1024U /* bytes of a value that is shown */

uint16_t admin_config(const struct server *server, const struct census *census, bool openmetrics,
                      struct bytes *out)
{
    (void)census, (void)openmetrics;
    config_dump_json(server->config, out);
    bytes_append_text(out, "\n");
    return 200;
}

void admin_config_tag(const struct server *server, char ret_tag[ADMIN_TAG_TEXT])
{
    struct bytes dump;
    bytes_init(&dump, &alloc_libc, DUMP_MAX);
    config_dump_json(server->config, &dump);
    snprintf(ret_tag, ADMIN_TAG_TEXT, "\"%016" PRIx64 "\"",
             (uint64_t)XXH3_64bits(bytes_at(&dump), bytes_len(&dump)));
    bytes_fini(&dump);
}

/* --- what differs --------------------------------------------------------------------------------
 */

struct diff {
    struct rows rows;
    bool hides; /* values that are wanted */
    char path[PATH_LEN];
    size_t len;
    uint32_t count;
};

enum change { CHANGED, ADDED, REMOVED };

/* An option's path is that of the table, without the names of elements. */
static const char *apply_of(const char *path)
{
    char plain[PATH_LEN];
    size_t len = 0;
    bool inside = false;
    for (; *path != '\0'; path++) {
        inside = inside ? *path != ']' : *path == '[';
        if (!inside && *path != ']')
            plain[len++] = *path;
    }
    plain[len] = '\0';
    const struct option *option = option_find(plain);
    return option != NULL && option->kind == OPTION_VALUE ? option_apply_text(option->apply) : NULL;
}

static void say_value(struct json *row, const char *name, struct slice value, bool is_shown)
{
    bool is_small = value.at != NULL && value.len <= SHOWN_MAX && !json_is_object(value);
    if (is_small && is_shown)
        json_raw(row, name, value);
    else
        json_null(row, name);
}

static void tell(struct diff *diff, enum change change, struct slice running, struct slice wanted)
{
    static const char *const words[] = {"changed", "added", "removed"};
    struct json row = row_begin(&diff->rows);
    json_text(&row, "path", diff->path);
    json_text(&row, "change", words[change]);
    say_value(&row, "running", running, true);
    say_value(&row, "wanted", wanted, !diff->hides);
    json_text(&row, "apply", apply_of(diff->path));
    row_end(&diff->rows, &row);
    diff->count++;
}

static size_t go_in(struct diff *diff, bool is_list, struct slice name)
{
    size_t len = diff->len, room = sizeof(diff->path) - len;
    const char *before = is_list ? "[" : len > 0 ? "." : "";
    int more = snprintf(diff->path + len, room, "%s%.*s%s", before, (int)name.len, name.at,
                        is_list ? "]" : "");
    diff->len = (size_t)more < room ? len + (size_t)more : sizeof(diff->path) - 1;
    return len;
}

static void go_out(struct diff *diff, size_t len)
{
    diff->len = len;
    diff->path[len] = '\0';
}

/* The text of an element's name, or of its URL; false: it has none. */
static bool name_of(struct slice element, struct slice *ret_name)
{
    bool has_name = json_is_object(element)
                    && (json_member(element, SLICE("name"), ret_name)
                        || json_member(element, SLICE("url"), ret_name));
    if (has_name)
        *ret_name = slice_sub(*ret_name, 1, ret_name->len - 1);
    return has_name;
}

static bool has_names(struct slice list)
{
    struct json_at at = {0};
    struct slice name, element;
    bool any = false;
    if (list.len == 0 || list.at[0] != '[')
        return false;
    while (json_next(list, &at, &name, &element)) {
        any = true;
        if (!name_of(element, &name))
            return false;
    }
    return any;
}

/* The part of `whole` of that name: a member, or an element. */
static bool find(struct slice whole, bool is_list, struct slice part, struct slice *ret)
{
    struct json_at at = {0};
    struct slice name;
    while (json_next(whole, &at, &name, ret))
        if ((!is_list || name_of(*ret, &name)) && slice_same(name, part))
            return true;
    *ret = (struct slice){0};
    return false;
}

/* What is in both, deeper than that only as a whole: a configuration is not so deep. */
static void compare(struct diff *diff, struct slice running, struct slice wanted, unsigned depth);

static void compare_parts(struct diff *diff, struct slice running, struct slice wanted,
                          unsigned depth)
{
    bool is_list = running.at[0] == '[';
    struct slice key, one, other;
    for (struct json_at at = {0}; json_next(running, &at, &key, &one);) {
        if (is_list)
            name_of(one, &key);
        size_t len = go_in(diff, is_list, key);
        if (find(wanted, is_list, key, &other))
            compare(diff, one, other, depth + 1);
        else
            tell(diff, REMOVED, one, other);
        go_out(diff, len);
    }
    for (struct json_at at = {0}; json_next(wanted, &at, &key, &one);) {
        if (is_list)
            name_of(one, &key);
        size_t len = go_in(diff, is_list, key);
        if (!find(running, is_list, key, &other))
            tell(diff, ADDED, other, one);
        go_out(diff, len);
    }
}

static void compare(struct diff *diff, struct slice running, struct slice wanted, unsigned depth)
{
    bool has_parts = (json_is_object(running) && json_is_object(wanted))
                     || (has_names(running) && has_names(wanted));
    if (slice_same(running, wanted))
        return;
    if (has_parts && depth < DEPTH_MAX)
        compare_parts(diff, running, wanted, depth);
    else
        tell(diff, CHANGED, running, wanted);
}

/* --- PUT -----------------------------------------------------------------------------------------
 */

static bool has_variables(struct slice text)
{
    for (uint32_t i = 0; i + 1 < text.len; i++)
        if (text.at[i] == '$' && text.at[i + 1] == '{')
            return true;
    return false;
}

/* A message without what it quotes. */
static void say_message(struct json *row, const char *text, bool hides)
{
    char plain[512];
    size_t len = 0;
    bool quoted = false;
    for (; *text != '\0' && len + 1 < sizeof(plain); text++) {
        bool is_quote = *text == '"';
        if (!hides || !quoted || is_quote)
            plain[len++] = *text;
        quoted = quoted != is_quote;
    }
    plain[len] = '\0';
    json_text(row, "message", plain);
}

static void say_faults(struct bytes *out, const struct config_faults *faults, bool hides)
{
    struct rows rows = {.out = out, .before = "\n"};
    bytes_append_text(out, "\"faults\":[");
    for (uint32_t i = 0; i < faults->count; i++) {
        const struct config_fault *fault = &faults->at[i];
        struct json row = row_begin(&rows);
        json_u64(&row, "line", fault->line);
        json_u64(&row, "column", fault->column);
        json_bool(&row, "advice", fault->advice);
        say_message(&row, fault->text, hides);
        row_end(&rows, &row);
    }
    bytes_append_text(out, "],");
}

static void say_changes(struct bytes *out, const struct config *running,
                        const struct config *wanted, bool hides)
{
    struct diff diff = {.rows = {.out = out, .before = "\n"}, .hides = hides};
    struct bytes is, will_be;
    bytes_init(&is, &alloc_libc, DUMP_MAX);
    bytes_init(&will_be, &alloc_libc, DUMP_MAX);
    config_dump_json(running, &is);
    config_dump_json(wanted, &will_be);
    bytes_append_text(out, "\"changes\":[");
    if (json_check(bytes_slice(&is)) && json_check(bytes_slice(&will_be)))
        compare(&diff, bytes_slice(&is), bytes_slice(&will_be), 0);
    bytes_printf(out, "],\"count\":%" PRIu32 "}\n", diff.count);
    bytes_fini(&is);
    bytes_fini(&will_be);
}

uint16_t admin_config_put(struct server *server, const struct admin_ask *ask, struct bytes *out)
{
    char tag[ADMIN_TAG_TEXT];
    struct config_faults faults;
    if (!slice_is(ask->query, "dry_run=1"))
        return rows_fault(out, 400,
                          "what is understood is ?dry_run=1: nothing is put in force here");
    admin_config_tag(server, tag);
    if (ask->if_match[0] != '\0' && strcmp(ask->if_match, "*") != 0
        && strcmp(ask->if_match, tag) != 0)
        return rows_fault(out, 412, "another configuration is in force than If-Match says");
    struct config *wanted = config_read_text("body", ask->input.len > 0 ? ask->input.at : "",
                                             ask->input.len, &faults);
    bool hides = has_variables(ask->input);
    bytes_printf(out, "{\"valid\":%s,", wanted != NULL ? "true" : "false");
    say_faults(out, &faults, hides);
    if (wanted != NULL)
        say_changes(out, server->config, wanted, hides);
    else
        bytes_append_text(out, "\"changes\":[],\"count\":0}\n");
    config_free(wanted);
    config_faults_free(&faults);
    return 200;
}
