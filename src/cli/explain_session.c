/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_session.c - three pages of the admin interface, and what in them is about one
 * conversation.
 */
#include "cli/explain_session.h"

#include "cli/row.h"
#include "cli/terminal.h"
#include "cli/url.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <string.h>

#define PATH_BYTES 512U

/* A page, and the list in it. */
struct listing {
    struct bytes body;
    struct slice rows;
};

struct told {
    struct slice session;
    struct listing sessions, accounts, events;
};

/* The exit status. */
static int fetch(const struct ask *ask, const char *path, const char *list, struct listing *ret)
{
    struct ask question = *ask;
    question.path = path;
    bytes_init(&ret->body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(&question, &ret->body);
    struct slice page = bytes_slice(&ret->body);
    if (status != 0)
        return status;
    if (json_check(page) && json_member(json_trim(page), slice_of(list), &ret->rows)
        && ret->rows.at[0] == '[')
        return 0;
    fprintf(stderr, "weir explain: what answers there is no admin interface\n");
    return 1;
}

/* The only one there is. */
static int fetch_session(const struct ask *ask, const char *id, struct told *told)
{
    char path[PATH_BYTES] = "/api/v1/sessions?limit=2&id=";
    size_t len = strlen(path);
    if (url_escape(path + len, sizeof(path) - len, slice_of(id)) >= sizeof(path) - len) {
        fprintf(stderr, "weir explain: no id is as long\n");
        return 1;
    }
    int status = fetch(ask, path, "sessions", &told->sessions);
    struct json_at at = {0};
    struct slice name, other;
    if (status != 0)
        return status;
    if (!json_next(told->sessions.rows, &at, &name, &told->session)) {
        fprintf(stderr,
                "weir explain: there is no record of a conversation whose id begins so; `weir show "
                "sessions` lists those that there are (a key has a scheme: http://host:80)\n");
        return 1;
    }
    if (json_next(told->sessions.rows, &at, &name, &other)) {
        fprintf(stderr, "weir explain: several ids begin so; say more of it\n");
        return 1;
    }
    return 0;
}

static bool is_same(struct slice row, struct slice other, const char *name)
{
    char one[ROW_CELL_MAX], two[ROW_CELL_MAX];
    row_cell(row, name, one);
    row_cell(other, name, two);
    return strcmp(one, two) == 0;
}

static bool is_account(const struct told *told, struct slice row)
{
    return is_same(row, told->session, "upstream");
}

/* Events name a conversation by how its id begins. */
static bool is_move(const struct told *told, struct slice row)
{
    char id[ROW_CELL_MAX], named[ROW_CELL_MAX];
    row_cell(told->session, "id", id);
    row_cell(row, "session", named);
    return named[0] != '-' && strncmp(id, named, strlen(named)) == 0;
}

typedef bool fits_fn(const struct told *told, struct slice row);

/* --- as text -------------------------------------------------------------------------------------
 */

static void print_move(struct slice row)
{
    char time[ROW_CELL_MAX], from[ROW_CELL_MAX], to[ROW_CELL_MAX], why[ROW_CELL_MAX];
    row_cell(row, "time", time);
    row_cell(row, "from", from);
    row_cell(row, "account", to);
    row_cell(row, "why", why);
    printf("  %s  from %s to %s: %s\n", time, from, to, why);
}

static void print_account(struct slice row)
{
    char account[ROW_CELL_MAX], state[ROW_CELL_MAX], why[ROW_CELL_MAX];
    row_cell(row, "account", account);
    row_cell(row, "state", state);
    row_cell(row, "why", why);
    printf("  %s is %s%s%s\n", account, state, why[0] != '-' ? ": " : "", why[0] != '-' ? why : "");
}

static uint32_t print_rows(const struct told *told, struct slice rows, fits_fn *fits,
                           void (*print)(struct slice row))
{
    struct json_at at = {0};
    struct slice name, row;
    uint32_t count = 0;
    while (json_next(rows, &at, &name, &row))
        if (fits(told, row)) {
            print(row);
            count++;
        }
    return count;
}

static void print_text(const struct told *told)
{
    char id[ROW_CELL_MAX], upstream[ROW_CELL_MAX], account[ROW_CELL_MAX], bound[ROW_CELL_MAX];
    row_cell(told->session, "id", id);
    row_cell(told->session, "upstream", upstream);
    row_cell(told->session, "account", account);
    row_cell(told->session, "bound_seconds", bound);
    printf("session  %s of upstream %s\n", id, upstream);
    printf("is bound to account %s for %s s more, and as long again with each request\n", account,
           bound);
    printf("moves\n");
    if (print_rows(told, told->events.rows, is_move, print_move) == 0)
        printf("  none that the last events know of: it is older, was one of many told as one, or "
               "was recorded there at once\n");
    printf("accounts\n");
    print_rows(told, told->accounts.rows, is_account, print_account);
}

/* --- as JSON -------------------------------------------------------------------------------------
 */

static void print_list(const struct told *told, const char *name, struct slice rows, fits_fn *fits)
{
    struct json_at at = {0};
    struct slice none, row;
    const char *before = "";
    printf(",\n\"%s\":[", name);
    while (json_next(rows, &at, &none, &row))
        if (fits(told, row)) {
            printf("%s\n%.*s", before, SLICE_ARG(row));
            before = ",";
        }
    printf("]");
}

static void print_json(const struct told *told)
{
    printf("{\"session\":%.*s", SLICE_ARG(told->session));
    print_list(told, "moves", told->events.rows, is_move);
    print_list(told, "accounts", told->accounts.rows, is_account);
    printf("}\n");
}

int explain_session(const struct ask *ask, const char *id, bool is_json)
{
    struct told told = {.session = {"", 0}};
    bytes_init(&told.accounts.body, &alloc_libc, 1);
    bytes_init(&told.events.body, &alloc_libc, 1);
    int status = fetch_session(ask, id, &told);
    if (status == 0)
        status = fetch(ask, "/api/v1/accounts", "accounts", &told.accounts);
    if (status == 0)
        status = fetch(ask, "/api/v1/events", "events", &told.events);
    if (status == 0 && is_json)
        print_json(&told);
    else if (status == 0)
        print_text(&told);
    bytes_fini(&told.sessions.body);
    bytes_fini(&told.accounts.body);
    bytes_fini(&told.events.body);
    return status;
}
