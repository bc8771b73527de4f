/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_page.h - the pages of the admin interface: a path, what it needs of the workers, and the
 * function that writes it.
 */
#pragma once
#include "base/bytes.h"
#include "base/text.h"
#include "gateway/census.h"

#include <stdbool.h>

/* What a page that is asked for something is asked. */
struct admin_ask {
    struct slice path, query; /* the query of a GET: what stands behind its '?' */
    struct slice input;       /* the body of a command */
};

struct admin_page {
    const char *path;
    unsigned census;  /* CENSUS_… that it is written from; 0: none, at once */
    bool open;        /* needs no token */
    bool posts;       /* a command: POST, with a JSON body where one is wanted, and nothing else */
    const char *type; /* Content-Type; NULL: the writer's choice */
    /* Writes the body and returns the status. `census` is NULL when none was asked for. */
    uint16_t (*write)(const struct server *server, const struct census *census, bool openmetrics,
                      struct bytes *out);
    /* Instead: a command that is done at once, or a page for whoever says what of it he wants. */
    uint16_t (*run)(const struct server *server, const struct admin_ask *ask, struct bytes *out);
};

#define ADMIN_PATH_MAX 256U /* of a command; there is no page for a longer one */

/* NULL: there is no such page. */
const struct admin_page *admin_page_find(struct slice path);
