/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/websocket.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

/* What a reader said of some bytes, as a text: "H1+ D(Hello)." is a whole text message; letters
 * stand for HEAD, DATA, CONTROL, BAD; + for FIN, . for the end of a frame, ! for the end of a
 * message. */
struct story {
    char text[4096];
    size_t len;
};

static void tell(struct story *story, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(struct story *story, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(story->text + story->len, sizeof story->text - story->len, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof story->text - story->len);
    story->len += (size_t)len;
}

static void tell_piece(struct story *story, const struct ws_piece *piece)
{
    switch (piece->kind) {
    case WS_HEAD:
        tell(story, "%sH%u%s%s", piece->opens_message ? "" : "c", piece->opcode,
             piece->is_deflated ? "z" : "", piece->ends_message ? "+" : "");
        break;
    case WS_DATA:
        tell(story, "%.*s%s%s", SLICE_ARG(piece->data), piece->ends_frame ? "." : "",
             piece->ends_message ? "! " : "");
        break;
    case WS_CONTROL:
        tell(story, "C%u(%.*s)%u ", piece->opcode, SLICE_ARG(piece->data), piece->code);
        break;
    case WS_BAD:
        tell(story, "BAD %s %u", ws_error_word(piece->error), ws_error_code(piece->error));
        break;
    case WS_NOTHING: break;
    }
}

static void read_some(struct ws_reader *reader, char *at, size_t len, struct story *story)
{
    struct ws_piece piece;
    do {
        size_t used = ws_read(reader, at, len, &piece);
        assert_true(used <= len);
        at += used;
        len -= used;
        tell_piece(story, &piece);
    } while (piece.kind != WS_NOTHING && piece.kind != WS_BAD);
    assert_true(piece.kind == WS_BAD || len == 0);
}

static void read_in_steps(const struct ws_rules *rules, const char *bytes, size_t len, size_t step,
                          struct story *story)
{
    char copy[2048];
    assert_true(len <= sizeof copy);
    memcpy(copy, bytes, len);
    struct ws_reader reader;
    ws_reader_init(&reader, rules);
    story->len = 0;
    story->text[0] = '\0';
    for (size_t at = 0; at < len && reader.error == WS_FINE; at += step) {
        read_some(&reader, copy + at, len - at < step ? len - at : step, story);
    }
}

static const struct ws_rules client = {.message_bytes_max = 1 << 20, .fragments_max = 4};
static const struct ws_rules server = {.message_bytes_max = 1 << 20,
                                       .fragments_max = 4,
                                       .is_masked = true};
static const struct ws_rules deflating = {.message_bytes_max = 1 << 20,
                                          .fragments_max = 4,
                                          .deflate = true};
static const struct ws_rules between = {.message_bytes_max = 1 << 20,
                                        .fragments_max = 4,
                                        .is_masked = true,
                                        .transparent = true};

/* Whatever the cuts; a row's bytes are a literal, so that it may hold zeroes. */
#define EXPECT(rules, bytes, said)                                                                 \
    do {                                                                                           \
        struct story story;                                                                        \
        for (size_t step = 1; step <= sizeof(bytes); step++) {                                     \
            read_in_steps((rules), (bytes), sizeof(bytes) - 1, step, &story);                      \
            assert_string_equal(story.text, (said));                                               \
        }                                                                                          \
    } while (0)

/* The examples of RFC 6455 §5.7. */
static void the_examples_of_the_standard(void **state)
{
    (void)state;
    EXPECT(&client, "\x81\x05Hello", "H1+Hello.! ");
    EXPECT(&server, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "H1+Hello.! ");
    EXPECT(&client, "\x01\x03Hel\x80\x02lo", "H1Hel.cH1+lo.! ");
    EXPECT(&client, "\x89\x05Hello", "C9(Hello)0 ");
    EXPECT(&server, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "C10(Hello)0 ");
    EXPECT(&deflating,
           "\xc1\x03"
           "abc",
           "H1z+abc.! "); /* RFC 7692 §7.2.3 */
}

static void what_is_allowed(void **state)
{
    (void)state;
    EXPECT(&client, "\x82\x00\x81\x00", "H2+.! H1+.! ");
    EXPECT(&client,
           "\x01\x01"
           "a\x89\x01p\x00\x00\x80\x01"
           "b",
           "H1a.C9(p)0 cH1.cH1+b.! ");
    EXPECT(&client, "\x01\x01\xe2\x80\x02\x82\xac", "H1\xe2.cH1+\x82\xac.! ");
    EXPECT(&client, "\x88\x00", "C8()1005 ");
    EXPECT(&client,
           "\x88\x05\x03\xe8"
           "bye",
           "C8(\x03\xe8"
           "bye)1000 ");
    EXPECT(&client, "\x88\x02\x0f\xa0", "C8(\x0f\xa0)4000 ");
    EXPECT(&deflating,
           "\x41\x01"
           "a\x80\x01"
           "b\x82\x01"
           "c",
           "H1za.cH1z+b.! H2+c.! ");
    EXPECT(&between, "\x81\x81\1\2\3\4\xff", "H1+\xff.! "); /* neither unmasked nor judged */
    EXPECT(&between, "\x89\x81\1\2\3\4\x60", "C9(a)0 ");
}

static void what_is_not(void **state)
{
    (void)state;
    EXPECT(&client, "\x83", "BAD opcode 1002");
    EXPECT(&client, "\x8b", "BAD opcode 1002");
    EXPECT(&client, "\x80", "BAD continuation 1002");
    EXPECT(&client,
           "\x01\x01"
           "a\x01",
           "H1a.BAD continuation 1002");
    EXPECT(&client, "\xc1", "BAD reserved_bits 1002");
    EXPECT(&deflating, "\xa1", "BAD reserved_bits 1002");
    EXPECT(&deflating, "\xc9", "BAD reserved_bits 1002");
    EXPECT(&deflating, "\x41\x00\xc0", "H1z.BAD reserved_bits 1002");
    EXPECT(&client, "\x81\x80", "BAD mask 1002");
    EXPECT(&server, "\x81\x05", "BAD mask 1002");
    EXPECT(&client, "\x09", "BAD control_fragment 1002");
    EXPECT(&client, "\x89\x7e", "BAD control_length 1002");
    EXPECT(&client, "\x82\x7e\x00\x7d", "BAD length 1002");
    EXPECT(&client, "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "BAD length 1002");
    EXPECT(&client, "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "BAD length 1002");
    EXPECT(&client, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "BAD message_size 1009");
    EXPECT(&client, "\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x01", "BAD message_size 1009");
    EXPECT(&client,
           "\x02\x01"
           "a\x00\x7f\x00\x00\x00\x00\x00\x10\x00\x00",
           "H2a.BAD message_size 1009");
    EXPECT(&client, "\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00",
           "H2.cH2.cH2.cH2.BAD fragments 1008");
    EXPECT(&client, "\x81\x01\xff", "H1+BAD utf8 1007");
    EXPECT(&client, "\x81\x01\xe2", "H1+BAD utf8 1007");
    EXPECT(&client, "\x88\x01\x03", "BAD close_length 1002");
    EXPECT(&client, "\x88\x02\x03\xe7", "BAD close_code 1002");
    EXPECT(&client, "\x88\x02\x03\xed", "BAD close_code 1002");
    EXPECT(&client, "\x88\x03\x03\xe8\xff", "BAD utf8 1007");
    EXPECT(&client, "\x88\x00\x81", "C8()1005 BAD after_close 1002");
}

/* Once refused, always refused; nothing more is used. */
static void bad_stays_bad(void **state)
{
    (void)state;
    struct ws_reader reader;
    ws_reader_init(&reader, &client);
    char bytes[] = "\x83\x00\x81\x00";
    struct ws_piece piece;
    assert_int_equal(ws_read(&reader, bytes, 4, &piece), 1);
    assert_int_equal(piece.kind, WS_BAD);
    assert_int_equal(ws_read(&reader, bytes + 1, 3, &piece), 0);
    assert_int_equal(piece.kind, WS_BAD);
}

/* A relay may put a frame of its own only where ws_is_between() says so. */
static void between_two_frames(void **state)
{
    (void)state;
    char bytes[] = "\x82\x02xy\x81";
    const bool expected[] = {false, false, false, true, false};
    struct ws_reader reader;
    ws_reader_init(&reader, &client);
    assert_true(ws_is_between(&reader));
    for (size_t i = 0; i < 5; i++) {
        struct ws_piece piece;
        size_t used = 0;
        do {
            used += ws_read(&reader, bytes + i + used, 1 - used, &piece);
        } while (piece.kind != WS_NOTHING);
        assert_int_equal(ws_is_between(&reader), expected[i]);
    }
}

/* --- writing --------------------------------------------------------------------------------- */

static void heads_read_as_written(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0,     1,       125,        126,           65535,
                                       65536, 1 << 20, UINT32_MAX, INT64_MAX / 2, INT64_MAX};
    static const uint8_t key[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof lengths[0]; i++) {
        const uint8_t *mask = i % 2 != 0 ? key : NULL;
        struct ws_rules rules = {
            .message_bytes_max = INT64_MAX, .fragments_max = 1, .is_masked = mask != NULL};
        struct ws_reader reader;
        struct ws_piece piece;
        char head[WS_HEAD_MAX];
        size_t len = ws_write_head(head, WS_FIN | WS_BINARY, lengths[i / 2], mask);
        ws_reader_init(&reader, &rules);
        assert_int_equal(ws_read(&reader, head, len, &piece), len);
        assert_int_equal(piece.kind, WS_HEAD);
        assert_int_equal(piece.frame_len, lengths[i / 2]);
        assert_int_equal(piece.head.len, len);
        assert_memory_equal(piece.head.at, head, len);
    }
}

static void masks_by_the_byte(void **state)
{
    (void)state;
    static const uint8_t key[4] = {0x12, 0x34, 0x56, 0x78};
    char text[100];
    for (size_t from = 0; from < 8; from++) {
        for (size_t len = 0; len + from <= sizeof text; len++) {
            memset(text, 0, sizeof text);
            ws_mask(text + from, len, key, from);
            for (size_t i = 0; i < sizeof text; i++) {
                bool inside = i >= from && i < from + len;
                assert_int_equal((uint8_t)text[i], inside ? key[i % 4] : 0);
            }
        }
    }
}

#define COUNT(rules, bytes) ws_count_whole((rules), (bytes), sizeof(bytes) - 1)

static void whole_messages_are_counted_at_a_glance(void **state)
{
    (void)state;
    struct ws_rules plain = between, small = between, deflated = between;
    plain.is_masked = false;
    small.message_bytes_max = 4;
    deflated.deflate = true;
    deflated.is_masked = false;
    assert_int_equal(COUNT(&plain, "\x81\x05Hello"), 1);
    assert_int_equal(COUNT(&plain, "\x81\x05Hello\x82\x00\x81\x01x"), 3);
    assert_int_equal(COUNT(&between, "\x82\x85mask-----\x81\x80mask"), 2);
    assert_int_equal(COUNT(&deflated, "\xc1\x01x\x81\x01y"), 2);
    assert_int_equal(COUNT(&plain, ""), 0);
    assert_int_equal(COUNT(&plain, "\x81"), 0);
    assert_int_equal(COUNT(&plain, "\x81\x05Hell"), 0);          /* cut */
    assert_int_equal(COUNT(&plain, "\x81\x05Hello\x81"), 0);     /* the second one is */
    assert_int_equal(COUNT(&between, "\x81\x80mas"), 0);         /* in its head */
    assert_int_equal(COUNT(&plain, "\x01\x05Hello"), 0);         /* a fragment, */
    assert_int_equal(COUNT(&plain, "\x80\x05Hello"), 0);         /* its end */
    assert_int_equal(COUNT(&plain, "\x81\x05Hello\x89\x00"), 0); /* a ping behind it */
    assert_int_equal(COUNT(&plain, "\x88\x00"), 0);              /* a close */
    assert_int_equal(COUNT(&plain, "\x83\x00"), 0);              /* nothing that there is */
    assert_int_equal(COUNT(&plain, "\xc1\x00"), 0);              /* deflated: not agreed */
    assert_int_equal(COUNT(&deflated, "\xa1\x00"), 0);           /* RSV2 */
    assert_int_equal(COUNT(&between, "\x81\x01Hello"), 0);       /* a mask is missing */
    assert_int_equal(COUNT(&plain, "\x81\x80"), 0);              /* … is too many */
    assert_int_equal(COUNT(&small, "\x81\x85mask-----"), 0);     /* too large */
    assert_int_equal(COUNT(&plain, "\x81\x7e\x00\x01x"), 0);     /* not in its shortest form */
}

static void whole_messages_of_two_bytes_of_length(void **state)
{
    (void)state;
    static char bytes[WS_HEAD_MAX + UINT16_MAX + 1];
    static const uint32_t lengths[] = {0, 125, 126, 127, 65535, 65536};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t len = ws_write_head(bytes, WS_FIN | WS_BINARY, lengths[i], NULL) + lengths[i];
        assert_int_equal(ws_count_whole(&client, bytes, len), lengths[i] <= UINT16_MAX);
        assert_int_equal(ws_count_whole(&client, bytes, len - 1), 0);
        len = ws_write_head(bytes, WS_FIN | WS_TEXT, lengths[i], (const uint8_t *)"mask")
              + lengths[i];
        assert_int_equal(ws_count_whole(&server, bytes, len), lengths[i] <= UINT16_MAX);
        assert_int_equal(ws_count_whole(&server, bytes, len - 1), 0);
    }
}

static void close_frames(void **state)
{
    (void)state;
    char payload[WS_CONTROL_MAX];
    char reason[200];
    memset(reason, 'x', sizeof reason);
    assert_int_equal(ws_write_close(payload, WS_CODE_NONE, SLICE("")), 0);
    assert_int_equal(ws_write_close(payload, WS_CODE_AWAY, SLICE("")), 2);
    assert_memory_equal(payload, "\x03\xe9", 2);
    struct slice long_one = {reason, sizeof reason};
    assert_int_equal(ws_write_close(payload, WS_CODE_NORMAL, long_one), WS_CONTROL_MAX);
    memcpy(reason + 121, "\xe2\x82\xac", 3); /* would be cut in its last byte */
    assert_int_equal(ws_write_close(payload, WS_CODE_NORMAL, long_one), 123);
}

static void codes(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        bool may = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
                   || (code >= 3000 && code <= 4999);
        assert_int_equal(ws_code_is_sendable((uint16_t)code), may);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard),
        cmocka_unit_test(what_is_allowed),
        cmocka_unit_test(what_is_not),
        cmocka_unit_test(bad_stays_bad),
        cmocka_unit_test(between_two_frames),
        cmocka_unit_test(heads_read_as_written),
        cmocka_unit_test(masks_by_the_byte),
        cmocka_unit_test(whole_messages_are_counted_at_a_glance),
        cmocka_unit_test(whole_messages_of_two_bytes_of_length),
        cmocka_unit_test(close_frames),
        cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
