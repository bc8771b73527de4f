/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/row.h"

#include "cli/terminal.h"
#include "proto/json_read.h"

#include <fnmatch.h>
#include <stdio.h>

void row_cell(struct slice row, const char *name, char ret_cell[ROW_CELL_MAX])
{
    struct slice value;
    snprintf(ret_cell, ROW_CELL_MAX, "-");
    if (!json_member(row, slice_of(name), &value) || slice_is(value, "null"))
        return;
    if (value.at[0] != '"')
        slice_copy(ret_cell, ROW_CELL_MAX, value);
    else if (json_get_text(value, ret_cell, ROW_CELL_MAX) == JSON_NO_TEXT)
        snprintf(ret_cell, ROW_CELL_MAX, "…");
    terminal_tame(ret_cell);
    if (ret_cell[0] == '\0')
        snprintf(ret_cell, ROW_CELL_MAX, "-");
}

uint64_t row_u64(struct slice row, const char *name)
{
    struct slice value;
    uint64_t number = 0;
    if (json_member(row, slice_of(name), &value))
        json_get_u64(value, &number);
    return number;
}

bool row_matches(struct slice row, struct slice name, const char *pattern)
{
    char word[64], cell[ROW_CELL_MAX];
    if (slice_copy(word, sizeof(word), name) >= sizeof(word))
        return false;
    row_cell(row, word, cell);
    return fnmatch(pattern, cell, 0) == 0;
}
