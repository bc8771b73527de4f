/* SPDX-License-Identifier: Apache-2.0
 *
 * row.h - a row of the admin interface (an object of JSON), as a terminal shows it.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROW_CELL_MAX 256U /* bytes of a value as it is shown */

/* The member as text, tamed, without its quotes; "-": there is none, it is null or empty. */
void row_cell(struct slice row, const char *name, char ret_cell[ROW_CELL_MAX]);
/* The member where it is a whole number, else 0. */
uint64_t row_u64(struct slice row, const char *name);
/* Whether the member is that text; `pattern` as for files: "connection_*". */
bool row_matches(struct slice row, struct slice name, const char *pattern);
