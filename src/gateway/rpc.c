/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/rpc.h"

void rpc_begin(struct rpc *rpc, struct loop *loop, const struct http_head *head,
               void (*fire)(struct loop_timer *timer, uint64_t now_ms))
{
    uint64_t timeout_ms;
    *rpc = (struct rpc){.timer = {.fire = fire}};
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->id == HTTP_FIELD_OTHER && slice_same_nocase(field->name, SLICE("grpc-timeout"))
            && grpc_timeout_ms(field->value, &timeout_ms)) {
            loop_timer_set(loop, &rpc->timer, loop_now_ms(loop) + timeout_ms);
            return;
        }
    }
}

void rpc_end(struct rpc *rpc, struct loop *loop)
{
    loop_timer_stop(loop, &rpc->timer);
}

bool rpc_fits(struct grpc_scan *scan, const void *data, size_t len, uint32_t max)
{
    for (size_t used = 0; max > 0 && used < len;) {
        bool begun;
        used += grpc_scan_next(scan, (const char *)data + used, len - used, &begun);
        if (begun && scan->left > max) {
            return false;
        }
    }
    return true;
}
