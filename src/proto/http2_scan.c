/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http2_scan.h"

#include <string.h>

size_t http2_scan_next(struct http2_scan *scan, const char *at, size_t len, bool *ret_found,
                       struct http2_frame_head *ret_head)
{
    size_t used = len < scan->left ? len : scan->left;
    scan->left -= (uint32_t)used;
    *ret_found = false;
    if (used == len) {
        return used;
    }
    size_t missing = HTTP2_FRAME_HEAD - scan->have;
    size_t take = len - used < missing ? len - used : missing;
    memcpy(scan->head + scan->have, at + used, take);
    scan->have += (uint8_t)take;
    used += take;
    if (scan->have < HTTP2_FRAME_HEAD) {
        return used;
    }
    const uint8_t *head = scan->head;
    *ret_head = (struct http2_frame_head){
        .length = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2],
        .type = head[3],
        .flags = head[4],
        .stream = (int32_t)(((uint32_t)head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16
                            | (uint32_t)head[7] << 8 | head[8]),
    };
    scan->left = ret_head->length;
    scan->have = 0;
    *ret_found = true;
    return used;
}
