/* SPDX-License-Identifier: Apache-2.0
 *
 * config_diff.h - what differs between two configurations, option by option. Pure.
 *
 * Both are compared as they are dumped: every option with its value, secrets as ***. Lists whose
 * elements have names are compared name by name, others as a whole.
 */
#pragma once
#include "base/text.h"
#include "gateway/config.h"
#include "gateway/option.h"

#include <stdint.h>

enum config_change_kind { CONFIG_CHANGED, CONFIG_ADDED, CONFIG_REMOVED };
const char *config_change_word(enum config_change_kind kind); /* "changed" */

struct config_change {
    enum config_change_kind kind;
    const char *path;             /* "upstreams[api].endpoints[http://127.0.0.1:1].weight" */
    const struct option *option;  /* that has a value; NULL: a group or a whole element */
    struct slice running, wanted; /* JSON; empty: it is not there */
};

/* Tells of each; the texts are good until it returns. How many there are; UINT32_MAX: no memory. */
uint32_t config_diff(const struct config *running, const struct config *wanted,
                     void (*tell)(void *self, const struct config_change *change), void *self);
