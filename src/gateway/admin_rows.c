/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_rows.h"

void rows_open(struct rows *rows, const char *name, struct bytes *out)
{
    rows->out = out;
    rows->before = "\n";
    rows->cut = false;
    bytes_printf(out, "{\"%s\":[", name);
}

struct json row_begin(struct rows *rows)
{
    struct json row = json_into(rows->room, sizeof(rows->room));
    json_open(&row, NULL, '{');
    return row;
}

void row_end(struct rows *rows, struct json *row)
{
    json_close(row, '}');
    bool good = !row->full && bytes_append_text(rows->out, rows->before)
                && bytes_append(rows->out, row->at, row->len);
    rows->cut = rows->cut || !good;
    rows->before = ",\n";
}

uint16_t rows_close(struct rows *rows)
{
    bytes_printf(rows->out, "\n],\"cut\":%s}\n", rows->cut ? "true" : "false");
    return 200;
}

uint16_t rows_fault(struct bytes *out, uint16_t status, const char *message)
{
    char room[ROW_BYTES];
    struct json json = json_into(room, sizeof(room));
    json_open(&json, NULL, '{');
    json_open(&json, "error", '{');
    json_u64(&json, "code", status);
    json_text(&json, "message", message);
    json_close(&json, '}');
    json_close(&json, '}');
    bytes_append(out, json.at, json.len);
    bytes_append_text(out, "\n");
    return status;
}
