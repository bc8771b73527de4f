/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_session.h - why a conversation is where it is: its record, the moves of it that the last
 * events know, and how its upstream's accounts are.
 */
#pragma once
#include "cli/ask.h"

#include <stdbool.h>

/* `id`: how its id begins. The exit status. */
int explain_session(const struct ask *ask, const char *id, bool is_json);
