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

struct admin_page {
    const char *path;
    unsigned census;  /* CENSUS_… that it is written from; 0: none, at once */
    bool open;        /* needs no token */
    bool posts;       /* a command: POST with a JSON body, and nothing else; `write` is NULL */
    const char *type; /* Content-Type; NULL: the writer's choice */
    /* Writes the body and returns the status. `census` is NULL when none was asked for. */
    uint16_t (*write)(const struct server *server, const struct census *census, bool openmetrics,
                      struct bytes *out);
    /* A command whose path says it all and that is done at once; its body is not looked at. */
    uint16_t (*run)(const struct server *server, struct slice path, struct bytes *out);
};

#define ADMIN_PATH_MAX 256U /* of a command; there is no page for a longer one */

/* NULL: there is no such page. */
const struct admin_page *admin_page_find(struct slice path);
