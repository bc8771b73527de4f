/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_command.h - what the body of a command may say beside what the command is about: why, and
 * how long what is open may take. Strict: nothing that is not understood is passed over.
 */
#pragma once
#include "gateway/admin_page.h"
#include "gateway/eventlog.h"
#include "gateway/server.h"

#define COMMAND_GRACE_MAX_MS 86400000U /* a day */

struct command_said {
    char reason[EVENTLOG_WHY_MAX + 1]; /* "": it says none */
    bool has_grace;
    uint32_t grace_ms;
};

/* {"reason": TEXT, "grace_ms": NUMBER}, both or none of them; or nothing at all. 0, or 400 and why
 * it is not understood. `has_grace`: whether the latter makes sense. */
uint16_t command_read(struct slice input, bool has_grace, struct command_said *ret_said,
                      struct bytes *out);
/* The same with a time of another name. */
uint16_t command_read_time(struct slice input, const char *word, struct command_said *ret_said,
                           struct bytes *out);

/* The audit event of what was done: by whom, to what, and why. */
void command_tell(struct server *server, const struct admin_ask *ask, const char *pool,
                  const char *what, const char *reason);
