/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.c - faults as lines and as JSON.
 */
#include "cli/faults.h"

#include "proto/json.h"

void faults_print(FILE *to, const struct config_faults *faults, bool advice)
{
    for (uint32_t i = 0; i < faults->count; i++) {
        const struct config_fault *f = &faults->at[i];
        if (f->advice && !advice)
            continue;
        if (f->line > 0)
            fprintf(to, "%s:%u:%u: %s%s\n", f->file, f->line, f->column,
                    f->advice ? "advice: " : "", f->text);
        else
            fprintf(to, "%s: %s\n", f->file, f->text);
    }
}

void faults_print_json(FILE *to, const struct config_faults *faults)
{
    fprintf(to, "\"valid\":%s,\"errors\":%u,\"faults\":[", faults->errors == 0 ? "true" : "false",
            faults->errors);
    for (uint32_t i = 0; i < faults->count; i++) {
        char room[8192];
        const struct config_fault *f = &faults->at[i];
        struct json json = json_into(room, sizeof(room));
        json_open(&json, NULL, '{');
        json_text(&json, "severity", f->advice ? "advice" : "error");
        json_text(&json, "file", f->file);
        json_u64(&json, "line", f->line);
        json_u64(&json, "column", f->column);
        json_text(&json, "message", f->text);
        json_close(&json, '}');
        if (!json.full)
            fprintf(to, "%s\n%.*s", i > 0 ? "," : "", (int)json.len, json.at);
    }
    fprintf(to, "\n]");
}
