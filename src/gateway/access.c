/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access.h"

#include "io/notify.h"
#include "proto/json.h"

/* A path longer than this is cut in the log; worst case each byte takes six. */
#define PATH_MAX_LOGGED 512U

static void put_websocket(struct json *json, const struct access_websocket *websocket)
{
    static const char *const names[] = {"client", "upstream"};
    json_open(json, "websocket", '{');
    for (int i = 0; i < 2; i++) {
        json_open(json, names[i], '{');
        json_u64(json, "messages", websocket->messages[i]);
        json_u64(json, "pings", websocket->pings[i]);
        if (websocket->codes[i] != 0) {
            json_u64(json, "code", websocket->codes[i]);
        } else {
            json_null(json, "code");
        }
        json_close(json, '}');
    }
    json_close(json, '}');
}

static void put_if_any(struct json *json, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_text(json, name, text);
    }
}

void access_write(struct access_log *log, const struct access_entry *entry)
{
    const char *stamp = clock_stamp_at(&log->stamper, clock_wall_at(&log->wall, entry->now_ms));
    struct json json = json_into(log->line, sizeof log->line);
    json_open(&json, NULL, '{');
    json_text(&json, "time", stamp);
    json_text(&json, "listener", entry->listener);
    json_slice(&json, "client", entry->client);
    put_if_any(&json, "client_name", entry->client_name);
    json_slice(&json, "method", slice_sub(entry->method, 0, 32));
    json_slice(&json, "host", slice_sub(entry->host, 0, 255));
    json_slice(&json, "path", slice_sub(entry->path, 0, PATH_MAX_LOGGED));
    json_u64(&json, "status", entry->status);
    json_u64(&json, "request_bytes", entry->request_bytes);
    json_u64(&json, "answer_bytes", entry->answer_bytes);
    json_text(&json, "upstream", entry->upstream);
    json_text(&json, "endpoint", entry->endpoint);
    put_if_any(&json, "account", entry->account);
    put_if_any(&json, "session", entry->session);
    json_bool(&json, "reused", entry->reused);
    json_u64(&json, "retries", entry->retries);
    json_open(&json, "ms", '{');
    json_fixed(&json, "queue", entry->queue_us, 3);
    json_fixed(&json, "connect", entry->took.connect_us - entry->took.tls_us, 3);
    json_fixed(&json, "tls", entry->took.tls_us, 3);
    json_fixed(&json, "first_byte", entry->first_byte_us, 3);
    json_fixed(&json, "total", entry->total_us, 3);
    json_close(&json, '}');
    if (entry->websocket != NULL) {
        put_websocket(&json, entry->websocket);
    }
    json_bool(&json, "cut", entry->cut);
    json_text(&json, "error", entry->error);
    json_slice(&json, "trace", entry->trace);
    json_close(&json, '}');
    if (!json.full) {
        notify_line(log->ring, log->line, json.len);
    }
}
