/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/http2_budget.h"

#include "base/check.h"

#include <nghttp2/nghttp2.h>

static bool take(struct http2_bucket *bucket, uint32_t burst, uint32_t rate, uint64_t now_ms)
{
    uint64_t most = (uint64_t)burst * 1000;
    uint64_t back = (now_ms - bucket->since_ms) * rate;
    bucket->since_ms = now_ms;
    bucket->milli = back > most || bucket->milli + back > most ? most : bucket->milli + back;
    if (bucket->milli < 1000) {
        return false;
    }
    bucket->milli -= 1000;
    return true;
}

const char *http2_flood_word(enum http2_flood flood)
{
    static const char *const words[] = {
#define HTTP2_FLOOD_ROW(name, word) word,
        HTTP2_FLOODS(HTTP2_FLOOD_ROW)
#undef HTTP2_FLOOD_ROW
    };
    check(flood < HTTP2_FLOOD_COUNT);
    return words[flood];
}

void http2_budget_init(struct http2_budget *budget, uint64_t now_ms)
{
    *budget = (struct http2_budget){
        .resets = {HTTP2_RESETS_BURST * UINT64_C(1000), now_ms},
        .refused = {HTTP2_REFUSED_BURST * UINT64_C(1000), now_ms},
        .idle = {HTTP2_IDLE_BURST * UINT64_C(1000), now_ms},
    };
}

/* What kind of idle frame it is; NONE: it carries something. */
static enum http2_flood idle_kind(uint8_t type, uint64_t length, uint8_t flags)
{
    switch (type) {
    case NGHTTP2_DATA:
        return length == 0 && (flags & NGHTTP2_FLAG_END_STREAM) == 0 ? HTTP2_FLOOD_EMPTY_DATA
                                                                     : HTTP2_FLOOD_NONE;
    case NGHTTP2_PRIORITY: return HTTP2_FLOOD_PRIORITY;
    case NGHTTP2_SETTINGS: return HTTP2_FLOOD_SETTINGS;
    case NGHTTP2_PING: return HTTP2_FLOOD_PING;
    case NGHTTP2_WINDOW_UPDATE: return HTTP2_FLOOD_WINDOW_UPDATE;
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_CONTINUATION: return HTTP2_FLOOD_NONE; /* counted by what they do */
    default: return HTTP2_FLOOD_UNKNOWN;
    }
}

enum http2_flood http2_budget_frame(struct http2_budget *budget, uint8_t type, uint64_t length,
                                    uint8_t flags, uint64_t now_ms)
{
    if (type == NGHTTP2_CONTINUATION) {
        budget->continued++;
        return budget->continued > HTTP2_CONTINUED_MAX ? HTTP2_FLOOD_CONTINUATION
                                                       : HTTP2_FLOOD_NONE;
    }
    budget->continued = 0;
    enum http2_flood kind = idle_kind(type, length, flags);
    if (kind == HTTP2_FLOOD_NONE
        || take(&budget->idle, HTTP2_IDLE_BURST, HTTP2_IDLE_RATE, now_ms)) {
        return HTTP2_FLOOD_NONE;
    }
    return kind;
}

void http2_budget_earn(struct http2_budget *budget, uint64_t bytes)
{
    uint64_t earned = budget->earned + bytes;
    uint64_t most = HTTP2_IDLE_BURST * UINT64_C(1000);
    uint64_t tokens = HTTP2_EARN_FRAME + earned / HTTP2_EARN_BYTES;
    uint64_t milli = budget->idle.milli + tokens * 1000;
    budget->earned = (uint32_t)(earned % HTTP2_EARN_BYTES);
    budget->idle.milli = milli > most ? most : milli;
}

void http2_budget_stream(struct http2_budget *budget)
{
    budget->streams++;
}

enum http2_flood http2_budget_reset(struct http2_budget *budget, bool early, uint64_t now_ms)
{
    if (!take(&budget->resets, HTTP2_RESETS_BURST, HTTP2_RESETS_RATE, now_ms)) {
        return HTTP2_FLOOD_RESET;
    }
    budget->premature += early;
    bool often = budget->streams >= HTTP2_PREMATURE_FROM
                 && (uint64_t)budget->premature * 100
                        > (uint64_t)budget->streams * HTTP2_PREMATURE_PCT;
    return often ? HTTP2_FLOOD_PREMATURE : HTTP2_FLOOD_NONE;
}

enum http2_flood http2_budget_refused(struct http2_budget *budget, uint64_t now_ms)
{
    return take(&budget->refused, HTTP2_REFUSED_BURST, HTTP2_REFUSED_RATE, now_ms)
               ? HTTP2_FLOOD_NONE
               : HTTP2_FLOOD_REFUSED;
}
