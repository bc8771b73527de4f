/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_openapi.c - from rows of a table to paths, operations and schemas.
 *
 * The rows of a page follow it; those of a path follow each other. "a.b" is a member of what "a"
 * is, so the members of each prefix are looked for in turn.
 */
#include "gateway/admin_openapi.h"

#include "gateway/admin_page.h"
#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rows [from, to) of one page; row 0 is the page itself. */
struct entry {
    const struct admin_row *rows;
    uint32_t count;
};

static struct entry entry_at(uint32_t index)
{
    struct entry entry = {&admin_table[index], 1};
    while (index + entry.count < admin_table_count
           && admin_table[index + entry.count].kind != ADMIN_ROW_PAGE)
        entry.count++;
    return entry;
}

/* --- schemas -------------------------------------------------------------------------------------
 */

static const struct {
    const char *word, *type, *format;
} types[] = {
    {"text", "string", NULL},    {"number", "integer", NULL},     {"seconds", "number", NULL},
    {"yes", "boolean", NULL},    {"time", "string", "date-time"}, {"object", "object", NULL},
    {"numbers", "object", NULL}, {"list", "array", NULL},
};

static bool is_of(const struct admin_row *row, const char *type)
{
    return strncmp(row->type, type, strlen(type)) == 0
           && (row->type[strlen(type)] == '\0' || row->type[strlen(type)] == '?');
}

static void say_type(struct json *json, const struct admin_row *row)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!is_of(row, types[i].word))
            continue;
        if (row->type[strlen(row->type) - 1] == '?') {
            json_open(json, "type", '[');
            json_text(json, NULL, types[i].type);
            json_text(json, NULL, "null");
            json_close(json, ']');
        } else {
            json_text(json, "type", types[i].type);
        }
        if (types[i].format != NULL)
            json_text(json, "format", types[i].format);
    }
}

/* What stands behind the prefix, where that is one member and no more; or NULL. */
static const char *member_of(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0 || (len > 0 && name[len] != '.'))
        return NULL;
    const char *rest = len > 0 ? name + len + 1 : name;
    return strchr(rest, '.') == NULL ? rest : NULL;
}

/* Objects in objects are few deep; a table's reader need not go deeper than its writer. */
static void members(struct json *json, const struct entry *entry, enum admin_row_kind kind,
                    const char *prefix);

static void schema_of(struct json *json, const struct entry *entry, const struct admin_row *row)
{
    say_type(json, row);
    json_text(json, "description", row->text);
    if (is_of(row, "object")) {
        members(json, entry, row->kind, row->name);
    } else if (is_of(row, "numbers")) {
        json_open(json, "additionalProperties", '{');
        json_text(json, "type", "integer");
        json_close(json, '}');
    } else if (is_of(row, "list")) {
        json_open(json, "items", '{');
        json_text(json, "type", "object");
        members(json, entry, row->kind, row->name);
        json_close(json, '}');
    }
}

static void members(struct json *json, const struct entry *entry, enum admin_row_kind kind,
                    const char *prefix)
{
    json_open(json, "properties", '{');
    for (uint32_t i = 1; i < entry->count; i++) {
        const struct admin_row *row = &entry->rows[i];
        const char *name = row->kind == kind ? member_of(row->name, prefix) : NULL;
        if (name == NULL)
            continue;
        json_open(json, name, '{');
        schema_of(json, entry, row);
        json_close(json, '}');
    }
    json_close(json, '}');
    json_bool(json, "additionalProperties", false);
}

static const struct admin_row *row_of(const struct entry *entry, enum admin_row_kind kind)
{
    for (uint32_t i = 1; i < entry->count; i++)
        if (entry->rows[i].kind == kind)
            return &entry->rows[i];
    return NULL;
}

static void list_schema(struct json *json, const struct entry *entry, const struct admin_row *list)
{
    json_text(json, "type", "object");
    json_open(json, "properties", '{');
    json_open(json, list->name, '{');
    json_text(json, "type", "array");
    json_open(json, "items", '{');
    json_text(json, "type", "object");
    json_text(json, "description", list->text);
    members(json, entry, ADMIN_ROW_FIELD, "");
    json_close(json, '}');
    json_close(json, '}');
    json_open(json, "cut", '{');
    json_text(json, "type", "boolean");
    json_text(json, "description", "whether rows were left out");
    json_close(json, '}');
    json_close(json, '}');
    json_bool(json, "additionalProperties", false);
}

static void answer_schema(struct json *json, const struct entry *entry)
{
    const struct admin_row *list = row_of(entry, ADMIN_ROW_LIST);
    json_open(json, "schema", '{');
    if (list != NULL) {
        list_schema(json, entry, list);
    } else if (row_of(entry, ADMIN_ROW_FIELD) != NULL) {
        json_text(json, "type", "object");
        members(json, entry, ADMIN_ROW_FIELD, "");
    } else {
        const char *type = entry->rows->page.type;
        bool is_json = type != NULL && strcmp(type, "application/json") == 0;
        json_text(json, "type", is_json ? "object" : "string");
    }
    json_close(json, '}');
}

/* --- operations ----------------------------------------------------------------------------------
 */

static const char *const methods[] =
    {[HTTP_GET] = "get", [HTTP_POST] = "post", [HTTP_PUT] = "put", [HTTP_DELETE] = "delete"};
static const char *const roles[] =
    {[ADMIN_ANYONE] = "anyone", [ADMIN_VIEWER] = "viewer", [ADMIN_OPERATOR] = "operator"};

static void parameter(struct json *json, const char *name, const char *in, const char *text,
                      const char *type)
{
    json_open(json, NULL, '{');
    json_text(json, "name", name);
    json_text(json, "in", in);
    if (text != NULL)
        json_text(json, "description", text);
    json_bool(json, "required", strcmp(in, "path") == 0);
    json_open(json, "schema", '{');
    json_text(json, "type", strcmp(type, "number") == 0 ? "integer" : "string");
    json_close(json, '}');
    json_close(json, '}');
}

static void parameters(struct json *json, const struct entry *entry)
{
    json_open(json, "parameters", '[');
    for (const char *at = strchr(entry->rows->name, '{'); at != NULL; at = strchr(at, '{')) {
        char name[32];
        struct slice rest = slice_of(++at);
        slice_copy(name, sizeof(name), slice_sub(rest, 0, slice_find(rest, '}')));
        parameter(json, name, "path", NULL, "text");
    }
    for (uint32_t i = 1; i < entry->count; i++)
        if (entry->rows[i].kind == ADMIN_ROW_QUERY)
            parameter(json, entry->rows[i].name, "query", entry->rows[i].text, entry->rows[i].type);
    json_close(json, ']');
}

static void body(struct json *json, const struct entry *entry)
{
    if (row_of(entry, ADMIN_ROW_BODY) == NULL)
        return;
    json_open(json, "requestBody", '{');
    json_open(json, "content", '{');
    json_open(json, "application/json", '{');
    json_open(json, "schema", '{');
    json_text(json, "type", "object");
    members(json, entry, ADMIN_ROW_BODY, "");
    for (unsigned i = 0; i < 4; i++)
        json_close(json, '}');
}

static void responses(struct json *json, const struct entry *entry)
{
    const char *type = entry->rows->page.type;
    json_open(json, "responses", '{');
    json_open(json, "200", '{');
    json_text(json, "description", "OK");
    json_open(json, "content", '{');
    json_open(json, type != NULL ? type : "text/plain", '{');
    answer_schema(json, entry);
    for (unsigned i = 0; i < 3; i++)
        json_close(json, '}');
    json_open(json, "default", '{');
    json_text(json, "$ref", "#/components/responses/Refused");
    json_close(json, '}');
    json_close(json, '}');
}

/* "getPools", "postPoolsPause": the words of the path that are nobody's name. */
static void operation_id(struct json *json, const struct admin_row *row)
{
    char id[96];
    size_t len = (size_t)snprintf(id, sizeof(id), "%s", methods[row->page.method]);
    struct slice rest = slice_of(row->name), part;
    rest = slice_starts(rest, SLICE("/api/v1/")) ? slice_sub(rest, 8, rest.len) : rest;
    while (slice_split(&rest, '/', &part)) {
        bool is_name = part.len > 0 && part.at[0] == '{';
        for (uint32_t i = is_name ? 1 : 0; i < part.len && len + 1 < sizeof(id); i++) {
            char c = part.at[i];
            bool is_upper = i == (is_name ? 1U : 0U) && c >= 'a' && c <= 'z';
            if (c != '.' && c != '}')
                id[len++] = is_upper ? (char)(c - 'a' + 'A') : c;
        }
    }
    id[len] = '\0';
    json_text(json, "operationId", id);
}

static void operation(struct json *json, const struct entry *entry)
{
    const struct admin_page *page = &entry->rows->page;
    json_open(json, methods[page->method], '{');
    operation_id(json, entry->rows);
    json_text(json, "summary", entry->rows->text);
    json_text(json, "x-weir-role", roles[page->role]);
    if (page->role == ADMIN_ANYONE) {
        json_open(json, "security", '[');
        json_close(json, ']');
    }
    parameters(json, entry);
    body(json, entry);
    responses(json, entry);
    json_close(json, '}');
}

static void paths(struct json *json)
{
    const char *path = NULL;
    json_open(json, "paths", '{');
    for (uint32_t i = 0; i < admin_table_count;) {
        const struct entry entry = entry_at(i);
        bool is_new = path == NULL || strcmp(path, entry.rows->name) != 0;
        if (is_new && path != NULL)
            json_close(json, '}');
        path = entry.rows->name;
        if (is_new)
            json_open(json, path, '{');
        operation(json, &entry);
        i += entry.count;
    }
    json_close(json, '}');
    json_close(json, '}');
}

/* --- the document --------------------------------------------------------------------------------
 */

static void components(struct json *json)
{
    static const char refused[] =
        "{\"description\":\"Not done, and why: 400 not understood, 401 no token or a wrong one, 403 "
        "another site's Host or Origin, or a viewer's token, 404 there is no such thing, 405 "
        "another method, 409 it is not as it was thought to be, 413 the body is too large, 429 too "
        "many wrong tokens, 503 not now\",\"content\":{\"application/json\":{\"schema\":{\"type\":"
        "\"object\",\"properties\":{\"error\":{\"type\":\"object\",\"properties\":{\"code\":{"
        "\"type\":\"integer\"},\"message\":{\"type\":\"string\"}}}}}}}}";
    json_open(json, "components", '{');
    json_open(json, "securitySchemes", '{');
    json_raw(json, "token", SLICE("{\"type\":\"http\",\"scheme\":\"bearer\"}"));
    json_close(json, '}');
    json_open(json, "responses", '{');
    json_raw(json, "Refused", slice_of(refused));
    json_close(json, '}');
    json_close(json, '}');
}

bool admin_openapi(struct bytes *out)
{
    char *room = malloc(ADMIN_OPENAPI_MAX);
    if (room == NULL)
        return false;
    struct json json = json_into(room, ADMIN_OPENAPI_MAX);
    json_open(&json, NULL, '{');
    json_text(&json, "openapi", "3.1.0");
    json_open(&json, "info", '{');
    json_text(&json, "title", "weir: the admin interface");
    json_text(&json, "version", WEIR_VERSION);
    json_close(&json, '}');
    json_raw(&json, "security", SLICE("[{\"token\":[]}]"));
    paths(&json);
    components(&json);
    json_close(&json, '}');
    bool good = !json.full && bytes_append(out, json.at, json.len) && bytes_append_text(out, "\n");
    free(room);
    return good;
}

uint16_t admin_openapi_write(const struct server *server, const struct census *census,
                             bool openmetrics, struct bytes *out)
{
    (void)server, (void)census, (void)openmetrics;
    return admin_openapi(out) ? 200 : 500;
}
