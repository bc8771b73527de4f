/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_stream.h"

void admin_stream_begin(struct http_exchange *exchange)
{
    struct http_field fields[] = {
        {.name = SLICE("Content-Type"),
         .value = SLICE("text/event-stream"),
         .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("Cache-Control"), .value = SLICE("no-store")},
        {.name = SLICE("X-Content-Type-Options"), .value = SLICE("nosniff")},
    };
    struct http_head head = {.status = 200,
                             .reason = SLICE("OK"),
                             .framing = HTTP_CHUNKED,
                             .version_minor = 1,
                             .keep_alive = true,
                             .field_count = sizeof(fields) / sizeof(fields[0]),
                             .fields = fields};
    exchange->ops->respond(exchange, &head);
}
