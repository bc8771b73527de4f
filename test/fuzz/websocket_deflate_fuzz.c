/* SPDX-License-Identifier: Apache-2.0
 *
 * permessage-deflate: whatever comes, inflating ends within its limit, and the cuts make no
 * difference; a list of offers never makes terms out of range; what is deflated inflates again.
 */
#include "proto/websocket_deflate.h"

#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX 65536U

static enum ws_error inflate_in_steps(const uint8_t *data, size_t size, size_t step,
                                      struct bytes *out)
{
    const struct ws_terms terms = WS_TERMS_DEFAULT;
    struct ws_deflate *codec = ws_deflate_new(&alloc_libc, &terms, true, OUT_MAX);
    enum ws_error error = WS_FINE;
    check(codec != NULL);
    for (size_t at = 0; at < size && error == WS_FINE; at += step) {
        size_t len = size - at < step ? size - at : step;
        struct slice piece;
        ws_inflate_give(codec, (const char *)data + at, len, at + len == size);
        do {
            error = ws_inflate_next(codec, &piece);
            check(error != WS_FINE || bytes_append_slice(out, piece));
        } while (error == WS_FINE && piece.len > 0);
    }
    ws_deflate_free(codec);
    return error;
}

static void any_cut(const uint8_t *data, size_t size, size_t step)
{
    struct bytes whole, cut;
    bytes_init(&whole, &alloc_libc, OUT_MAX);
    bytes_init(&cut, &alloc_libc, OUT_MAX);
    enum ws_error error = inflate_in_steps(data, size, size + 1, &whole);
    check(inflate_in_steps(data, size, step, &cut) == error);
    check(error != WS_FINE || slice_same(bytes_slice(&whole), bytes_slice(&cut)));
    bytes_fini(&whole);
    bytes_fini(&cut);
}

static void any_terms(const uint8_t *data, size_t size)
{
    const struct ws_terms ours = WS_TERMS_DEFAULT;
    struct slice text = {(const char *)data, (uint32_t)size};
    struct ws_terms chosen;
    if (ws_terms_choose(text, &ours, &chosen)) {
        char answer[WS_TERMS_TEXT_MAX];
        size_t len = ws_terms_write_answer(&chosen, answer);
        struct ws_terms accepted;
        check(len < sizeof answer);
        check(ws_terms_accept((struct slice){answer, (uint32_t)len}, &ours, &accepted));
        check(accepted.server_bits == chosen.server_bits);
        check(chosen.server_bits > WS_WINDOW_MIN && chosen.server_bits <= WS_WINDOW_MAX);
        check(chosen.client_bits >= WS_WINDOW_MIN && chosen.client_bits <= WS_WINDOW_MAX);
    }
}

static void there_and_back(const uint8_t *data, size_t size)
{
    const struct ws_terms terms = WS_TERMS_DEFAULT;
    struct ws_deflate *codec = ws_deflate_new(&alloc_libc, &terms, false, OUT_MAX);
    struct bytes wire, out;
    check(codec != NULL);
    bytes_init(&wire, &alloc_libc, 2 * OUT_MAX);
    bytes_init(&out, &alloc_libc, OUT_MAX);
    check(ws_deflate_message(codec, (struct slice){(const char *)data, (uint32_t)size}, &wire));
    check(inflate_in_steps((const uint8_t *)bytes_at(&wire), bytes_len(&wire), 1 + size / 3, &out)
          == WS_FINE);
    check(bytes_len(&out) == size && (size == 0 || memcmp(bytes_at(&out), data, size) == 0));
    bytes_fini(&wire);
    bytes_fini(&out);
    ws_deflate_free(codec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > OUT_MAX) {
        return 0;
    }
    size_t step = 1 + data[0];
    data++;
    size--;
    any_cut(data, size, step);
    any_terms(data, size);
    there_and_back(data, size);
    return 0;
}
