/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/websocket_deflate.h"

#include "support/unit.h"

#include <string.h>

#define MESSAGE_MAX 100000U

static const struct ws_terms shared = {.server_bits = 15, .client_bits = 15};
static const struct ws_terms fresh = {.server_bits = 9,
                                      .client_bits = 10,
                                      .server_fresh = true,
                                      .client_fresh = true};

/* Inflates one message given in steps; its text is appended to *ret. */
static enum ws_error inflate_in_steps(struct ws_deflate *codec, struct slice message, uint32_t step,
                                      struct bytes *ret)
{
    for (uint32_t at = 0; at < message.len || at == 0; at += step) {
        uint32_t len = message.len - at < step ? message.len - at : step;
        ws_inflate_give(codec, message.at + at, len, at + len == message.len);
        struct slice piece;
        do {
            enum ws_error error = ws_inflate_next(codec, &piece);
            if (error != WS_FINE) {
                return error;
            }
            assert_true(bytes_append_slice(ret, piece));
        } while (piece.len > 0);
    }
    return WS_FINE;
}

static void expect_text(struct ws_deflate *codec, struct slice message, struct slice text)
{
    struct bytes got;
    bytes_init(&got, &alloc_libc, MESSAGE_MAX);
    assert_int_equal(inflate_in_steps(codec, message, message.len > 0 ? message.len : 1, &got),
                     WS_FINE);
    assert_true(slice_same(bytes_slice(&got), text));
    bytes_fini(&got);
}

/* RFC 7692 §7.2.3: one block, a window kept, no compression, a last block, two blocks, nothing. */
static void the_examples_of_the_standard(void **state)
{
    (void)state;
    struct ws_deflate *codec = ws_deflate_new(&alloc_libc, &shared, true, MESSAGE_MAX);
    const struct slice hello = SLICE("Hello");
    assert_non_null(codec);
    expect_text(codec, SLICE("\xf2\x48\xcd\xc9\xc9\x07\x00"), hello);
    expect_text(codec, SLICE("\xf2\x00\x11\x00\x00"), hello);
    expect_text(codec, SLICE("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), hello);
    expect_text(codec, SLICE("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), hello);
    expect_text(codec, SLICE("\xf2\x00\x11\x00\x00"), hello); /* the window outlived the end */
    expect_text(codec, SLICE("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), hello);
    expect_text(codec, SLICE("\x00"), SLICE(""));
    ws_deflate_free(codec);
}

static void fill(char *text, size_t len, unsigned kind)
{
    uint32_t seed = kind;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = kind % 3 == 0 ? 'a' : kind % 3 == 1 ? (char)(seed >> 24) : (char)('a' + i % 23);
    }
}

static void round_trip(const struct ws_terms *terms, uint32_t step)
{
    static char text[50000];
    struct ws_deflate *server = ws_deflate_new(&alloc_libc, terms, true, MESSAGE_MAX);
    struct ws_deflate *client = ws_deflate_new(&alloc_libc, terms, false, MESSAGE_MAX);
    struct bytes wire, got;
    bytes_init(&wire, &alloc_libc, MESSAGE_MAX);
    bytes_init(&got, &alloc_libc, MESSAGE_MAX);
    static const uint32_t lengths[] = {0, 0, 1, 100, 50000, 0, 16384, 50000, 50000};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct slice message = {text, lengths[i]};
        fill(text, message.len, i);
        bytes_clear(&wire);
        bytes_clear(&got);
        assert_true(ws_deflate_message(i % 2 != 0 ? server : client, message, &wire));
        assert_int_equal(
            inflate_in_steps(i % 2 != 0 ? client : server, bytes_slice(&wire), step, &got),
            WS_FINE);
        assert_true(slice_same(bytes_slice(&got), message));
    }
    bytes_fini(&wire);
    bytes_fini(&got);
    ws_deflate_free(server);
    ws_deflate_free(client);
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    round_trip(&shared, 1);
    round_trip(&shared, 1000);
    round_trip(&shared, MESSAGE_MAX);
    round_trip(&fresh, 1);
    round_trip(&fresh, 1000);
    round_trip(&fresh, MESSAGE_MAX);
}

/* A message of a million is told from its first bytes beyond the limit, in small memory. */
static void a_bomb(void **state)
{
    (void)state;
    static char text[1000000];
    struct ws_deflate *client = ws_deflate_new(&alloc_libc, &shared, false, MESSAGE_MAX);
    struct ws_deflate *server = ws_deflate_new(&alloc_libc, &shared, true, MESSAGE_MAX);
    struct bytes wire, got;
    bytes_init(&wire, &alloc_libc, sizeof text + 4096);
    bytes_init(&got, &alloc_libc, MESSAGE_MAX);
    assert_true(ws_deflate_message(client, (struct slice){text, sizeof text}, &wire));
    assert_true(bytes_len(&wire) < 2000);
    assert_int_equal(inflate_in_steps(server, bytes_slice(&wire), MESSAGE_MAX, &got),
                     WS_BAD_MESSAGE_SIZE);
    assert_true(bytes_len(&got) <= MESSAGE_MAX);
    bytes_fini(&wire);
    bytes_fini(&got);
    ws_deflate_free(client);
    ws_deflate_free(server);
}

static void what_does_not_inflate(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\x07", "\xf2\x02\x11", "\x04\xff\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ws_deflate *codec = ws_deflate_new(&alloc_libc, &shared, true, MESSAGE_MAX);
        struct bytes got;
        bytes_init(&got, &alloc_libc, MESSAGE_MAX);
        assert_int_equal(inflate_in_steps(codec, slice_of(wrong[i]), 1, &got), WS_BAD_DEFLATE);
        bytes_fini(&got);
        ws_deflate_free(codec);
    }
}

/* zlib has no window of 8 to deflate with: the message goes as it is. */
static void a_window_too_small(void **state)
{
    (void)state;
    const struct ws_terms small = {.server_bits = 8, .client_bits = 8};
    struct ws_deflate *codec = ws_deflate_new(&alloc_libc, &small, false, MESSAGE_MAX);
    struct bytes wire;
    bytes_init(&wire, &alloc_libc, MESSAGE_MAX);
    assert_false(ws_deflate_message(codec, SLICE("Hello"), &wire));
    assert_int_equal(bytes_len(&wire), 0);
    expect_text(codec, SLICE("\xf2\x48\xcd\xc9\xc9\x07\x00"), SLICE("Hello"));
    bytes_fini(&wire);
    ws_deflate_free(codec);
}

static void every_refusal(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct ws_deflate *codec = ws_deflate_new(alloc, &shared, true, MESSAGE_MAX);
    struct bytes wire;
    if (codec == NULL) {
        return;
    }
    bytes_init(&wire, alloc, MESSAGE_MAX);
    if (!ws_deflate_message(codec, SLICE("Hello"), &wire)) {
        assert_int_equal(bytes_len(&wire), 0);
    }
    struct slice piece;
    ws_inflate_give(codec, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, true);
    enum ws_error error = ws_inflate_next(codec, &piece);
    assert_true(error == WS_FINE || error == WS_BAD_MEMORY);
    bytes_fini(&wire);
    ws_deflate_free(codec);
}

static void memory_that_is_refused(void **state)
{
    (void)state;
    torture(every_refusal, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard),
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(a_bomb),
        cmocka_unit_test(what_does_not_inflate),
        cmocka_unit_test(a_window_too_small),
        cmocka_unit_test(memory_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
