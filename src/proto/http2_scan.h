/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_scan.h - finds the heads of frames in the bytes of an HTTP/2 connection (RFC 9113 §4.1),
 * in pieces of any size. Payloads are passed over unseen.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP2_FRAME_HEAD 9U

struct http2_frame_head {
    uint32_t length;
    uint8_t type, flags;
    int32_t stream;
};

/* All zeroes but for `left`: bytes to pass over before the first frame (24: the preface). */
struct http2_scan {
    uint32_t left;
    uint8_t have;
    uint8_t head[HTTP2_FRAME_HEAD];
};

/* Looks for the end of the next frame's head. Returns how many bytes were used; *ret_found says
 * whether the last of them ended a head, which is in *ret_head then. */
size_t http2_scan_next(struct http2_scan *scan, const char *at, size_t len, bool *ret_found,
                       struct http2_frame_head *ret_head);
