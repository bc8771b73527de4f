/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_rows.h - pages of the admin interface that are one list of rows.
 *
 * A row is made in a buffer of fixed size and appended; one that does not fit is left out and said
 * so ("cut": true).
 */
#pragma once
#include "base/bytes.h"
#include "proto/json.h"

#include <stdbool.h>
#include <stdint.h>

#define ROW_BYTES 4096

struct rows {
    struct bytes *out;
    const char *before; /* what stands before the next row */
    bool cut;
    char room[ROW_BYTES];
};

void rows_open(struct rows *rows, const char *name, struct bytes *out);
struct json row_begin(struct rows *rows);
void row_end(struct rows *rows, struct json *row);
/* 200 */
uint16_t rows_close(struct rows *rows);

/* {"error": …}; `status`. */
uint16_t rows_fault(struct bytes *out, uint16_t status, const char *message);
