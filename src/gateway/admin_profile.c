/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_profile.c - GET /api/v1/pools/{pool}/profile: each worker copies what it knows of the
 * upstream, and the copies are added up.
 */
#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/fault.h"
#include "gateway/profile.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "io/clock.h"
#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

/* What is asked of the workers. */
struct asked {
    uint32_t upstream;
};

static void copy_profile(const void *data, struct site *site, struct census_sheet *sheet)
{
    const struct asked *asked = data;
    const struct profile *profile = relay_profile(site->relay, asked->upstream);
    sheet->upstream = asked->upstream;
    if (profile != NULL)
        sheet->profile = profile_copy(profile, sheet->now_ms);
}

uint16_t admin_profile(struct server *server, const struct admin_ask *ask,
                       struct census_order *ret_order, struct bytes *out)
{
    const struct config *config = server->config;
    struct asked *asked = malloc(sizeof(*asked));
    if (asked == NULL)
        return rows_fault(out, 503, "no memory");
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        if (strcmp(config->upstreams.at[i].name, ask->names[0]) == 0) {
            asked->upstream = i;
            *ret_order = (struct census_order){.run = copy_profile, .data = asked};
            return 0;
        }
    free(asked);
    return rows_fault(out, 404, "there is no upstream of that name");
}

/* --- writing -------------------------------------------------------------------------------------
 */

static void put_row(struct bytes *out, const char *name, const struct profile_row *row,
                    bool is_first)
{
    char room[ROW_BYTES];
    struct json json = json_into(room, sizeof(room));
    json_open(&json, NULL, '{');
    json_text(&json, "name", name);
    json_u64(&json, "requests", row->requests);
    json_u64(&json, "failed", row->failed);
    for (unsigned i = 0; i < PROFILE_PHASES; i++)
        json_fixed(&json, profile_phase_words[i], row->us[i], 6);
    json_fixed(&json, "slowest", row->max_us, 6);
    json_close(&json, '}');
    if (!json.full)
        bytes_printf(out, "%s\n%.*s", is_first ? "" : ",", (int)json.len, json.at);
}

static void put_slow(struct bytes *out, const struct config_upstream *config,
                     const struct profile_slow *slow, uint64_t now_ms, bool is_first)
{
    char room[ROW_BYTES], stamp[CLOCK_STAMP + 1];
    struct json json = json_into(room, sizeof(room));
    uint64_t ago_ms = now_ms > slow->ended_ms ? now_ms - slow->ended_ms : 0;
    clock_stamp(clock_wall_ms() - ago_ms, stamp);
    json_open(&json, NULL, '{');
    json_text(&json, "time", stamp);
    json_fixed(&json, "total", slow->total_us, 6);
    for (unsigned i = 0; i < PROFILE_PHASES; i++)
        json_fixed(&json, profile_phase_words[i], slow->us[i], 6);
    json_text(&json, "method", slow->method);
    json_text(&json, "path", slow->path);
    json_u64(&json, "status", slow->status);
    json_text(&json, "endpoint", config->endpoints.at[slow->endpoint].name);
    json_text(&json, "account",
              slow->account < config->accounts.count ? config->accounts.at[slow->account].name
                                                     : NULL);
    json_bool(&json, "reused", slow->reused);
    json_text(&json, "error", fault_code(slow->fault));
    json_close(&json, '}');
    if (!json.full)
        bytes_printf(out, "%s\n%.*s", is_first ? "" : ",", (int)json.len, json.at);
}

static void write_profile(const struct config_upstream *config, const struct profile *profile,
                          uint64_t now_ms, struct bytes *out)
{
    const struct profile_slow *slowest[PROFILE_SLOWEST_MAX];
    uint32_t count = profile_slowest(profile, slowest);
    bytes_printf(out, "{\"pool\":");
    bytes_append_json(out, slice_of(config->name));
    bytes_append_text(out, ",\"endpoints\":[");
    for (uint32_t i = 0; i < profile->endpoints_count; i++)
        put_row(out, config->endpoints.at[i].name, &profile->rows[i], i == 0);
    bytes_append_text(out, "],\"accounts\":[");
    for (uint32_t i = 0; i < profile->accounts_count; i++)
        put_row(out, config->accounts.at[i].name, &profile->rows[profile->endpoints_count + i],
                i == 0);
    bytes_append_text(out, "],\"slowest\":[");
    for (uint32_t i = 0; i < count; i++)
        put_slow(out, config, slowest[i], now_ms, i == 0);
    bytes_append_text(out, "]}\n");
}

uint16_t admin_profile_write(const struct server *server, const struct census *census,
                             bool openmetrics, struct bytes *out)
{
    (void)openmetrics;
    struct profile *all = NULL;
    uint32_t upstream = 0;
    uint64_t now_ms = 0;
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        if (sheet->profile == NULL)
            continue;
        upstream = sheet->upstream;
        now_ms = sheet->now_ms > now_ms ? sheet->now_ms : now_ms;
        if (all == NULL)
            all = profile_copy(sheet->profile, sheet->now_ms);
        else
            profile_merge(all, sheet->profile);
    }
    if (all == NULL)
        return rows_fault(out, 503, "no worker has answered");
    write_profile(&server->config->upstreams.at[upstream], all, now_ms, out);
    profile_free(all);
    return 200;
}
