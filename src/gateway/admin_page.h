/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_page.h - the pages of the admin interface: what each needs of the workers, and the function
 * that writes or does it. Which there are, who may have them, and what their answers hold is the
 * table in admin.def; the router, the OpenAPI document and the reference are read from it.
 *
 *     write     from what the hub knows, or from a census of the workers
 *     run       at once, for whoever says what of it he wants, or a command that is done at once
 *     order     what the workers are to do first, each on its thread; then `write`
 *     start     done later, on the hub's loop (admin_proxy.h)
 *     streams   an answer that goes on (admin_live.h)
 */
#pragma once
#include "base/bytes.h"
#include "base/text.h"
#include "gateway/census.h"
#include "proto/http.h"

#include <stdbool.h>

#define ADMIN_NAMES_MAX 2U   /* parts of a path that are somebody's name */
#define ADMIN_NAME_LEN  128U /* of such a part, and of who asks */
#define ADMIN_PATH_MAX  256U /* there is no page for a longer one, but for its query */

#define ADMIN_TAG_TEXT 24U /* of the configuration in force, with its quotes */

/* What a page that is asked for something is asked. */
struct admin_ask {
    struct slice path, query;      /* the query of a GET: what stands behind its '?' */
    struct slice input;            /* the body of a command */
    const char *who;               /* asks, and from where */
    char if_match[ADMIN_TAG_TEXT]; /* that field; "": it is not there */
    char names[ADMIN_NAMES_MAX][ADMIN_NAME_LEN + 1]; /* what stands for {…} in the path */
};

/* Each writes the answer's body and returns its status. `census` is NULL when none was asked for.
 */
typedef uint16_t admin_write_fn(const struct server *server, const struct census *census,
                                bool openmetrics, struct bytes *out);
typedef uint16_t admin_run_fn(struct server *server, const struct admin_ask *ask,
                              struct bytes *out);
/* 0, or the status of a refusal that was written. */
typedef uint16_t admin_order_fn(struct server *server, const struct admin_ask *ask,
                                struct census_order *ret_order, struct bytes *out);

/* What is under way; done() comes once, later, when `out` has the body; unless it was cancelled.
 * NULL: it is answered already: *ret_status and `out` say how. */
struct admin_job {
    void (*cancel)(struct admin_job *take_job);
};
typedef void admin_done_fn(void *self, uint16_t status);
typedef struct admin_job *admin_start_fn(const struct server *server, const struct admin_ask *ask,
                                         struct bytes *out, admin_done_fn *done, void *self,
                                         uint16_t *ret_status);

enum admin_role { ADMIN_ANYONE, ADMIN_VIEWER, ADMIN_OPERATOR };

struct admin_page {
    enum http_method method;
    enum admin_role role;
    unsigned census;  /* CENSUS_… that it is written from; 0: none, at once */
    const char *type; /* Content-Type; NULL: the writer's choice */
    bool follows;     /* who accepts text/event-stream gets what is new, as it comes */
    admin_write_fn *write;
    admin_run_fn *run;
    admin_order_fn *order;
    admin_start_fn *start;
    bool streams;
};

/* The table: each page, and behind it what its query, its body and its answer hold. */
enum admin_row_kind {
    ADMIN_ROW_PAGE,  /* name: the path */
    ADMIN_ROW_LIST,  /* the answer is {name: [row, …], "cut": whether rows were left out} */
    ADMIN_ROW_QUERY, /* a word of the query */
    ADMIN_ROW_BODY,  /* a member of the body that a command comes with */
    ADMIN_ROW_FIELD  /* a member of the answer, or of the list's row; "a.b": of what is in a */
};
struct admin_row {
    enum admin_row_kind kind;
    const char *name;
    const char *type; /* text, number, seconds, yes, time, object, list, numbers, any; with a '?':
                         or null */
    const char *text;
    struct admin_page page;
};
extern const struct admin_row admin_table[];
extern const uint32_t admin_table_count;

static inline bool admin_changes(const struct admin_page *page)
{
    return page->method != HTTP_GET;
}

/* The page, and in ret_ask what stands in the path for {…}. NULL: there is no such path, and
 * *ret_methods is 0; or there is, but not for that method: bits 1 << HTTP_… say for which. */
const struct admin_page *admin_page_find(struct slice path, enum http_method method,
                                         struct admin_ask *ret_ask, unsigned *ret_methods);

/* --- the writers, in admin_page.c where nothing else is said
 * --------------------------------------
 */

admin_write_fn admin_index, admin_livez, admin_readyz, admin_healthz, admin_metrics, admin_pools,
    admin_endpoints, admin_accounts, admin_clients, admin_keys, admin_connections, admin_listeners,
    admin_certificates, admin_events, admin_config, admin_process, admin_generations,
    admin_discovery;
admin_write_fn admin_command_write; /* admin_command.c */
admin_order_fn admin_profile;       /* admin_profile.c */
admin_write_fn admin_profile_write;
admin_order_fn admin_command_pool, admin_command_endpoint;
admin_run_fn admin_clear, admin_drain;
admin_order_fn admin_explain, admin_explain_key; /* admin_explain.c */
admin_write_fn admin_explain_write, admin_explain_key_write;
admin_write_fn admin_capacity;                 /* capacity.c */
admin_start_fn admin_config_put, admin_reload; /* admin_config.c, as admin_config */
void admin_config_tag(const struct server *server, char ret_tag[ADMIN_TAG_TEXT]);
admin_write_fn admin_openapi_write; /* admin_openapi.c */
admin_write_fn admin_latency_write; /* admin_latency.c */
admin_write_fn admin_status_write;  /* admin_status.c */
admin_write_fn admin_alerts;        /* admin_alerts.c */
admin_start_fn admin_sessions_list; /* of the fleet later, else at once */
admin_run_fn admin_sessions_one, admin_sessions_end, admin_sessions_rebind;
admin_start_fn admin_proxy_start;
admin_start_fn admin_upgrade_start; /* admin_upgrade.c */
