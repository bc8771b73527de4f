/* SPDX-License-Identifier: Apache-2.0
 *
 * config_expand.h - ${NAME}, ${NAME:-default}, ${file:/path}, ${credential:NAME} in a text; $${ is
 * a plain ${.
 *
 * The environment is replaced as it is, without a second look at the result; a file loses the line
 * ends at its end. A variable that is neither set nor defaulted is an error, and empty.
 */
#pragma once
#include "gateway/config_document.h"
#include "gateway/config_fault.h"

#define EXPAND_MAX 65536 /* bytes of a text once everything is replaced */

const char *config_expand(struct config_arena *arena, struct config_place place, const char *text,
                          struct document_sources *sources, struct config_faults *faults);
