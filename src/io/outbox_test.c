/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "io/outbox.h"

#include <errno.h>
#include <string.h>

/* A stream that takes as much as it is told to and remembers it. */
struct sink {
    struct stream stream;
    char text[256 * 1024];
    size_t len;
    size_t room; /* what it will take in all */
    int calls;
    int broken; /* -errno */
};

static ssize_t sink_writev(struct stream *stream, const struct iovec *parts, int count)
{
    struct sink *sink = stream->owner;
    sink->calls++;
    if (sink->broken != 0) {
        return sink->broken;
    }
    size_t before = sink->len;
    for (int i = 0; i < count; i++) {
        size_t left = sink->room - sink->len;
        size_t n = parts[i].iov_len < left ? parts[i].iov_len : left;
        memcpy(sink->text + sink->len, parts[i].iov_base, n);
        sink->len += n;
    }
    size_t taken = sink->len - before;
    return taken > 0 ? (ssize_t)taken : -EAGAIN;
}

static const struct stream_ops sink_ops = {.writev = sink_writev};
static struct sink sink;
static struct cork cork;
static struct outbox box;
static struct loop *loop;

static int setup(void **state)
{
    (void)state;
    sink = (struct sink){.room = sizeof sink.text};
    sink.stream = (struct stream){.ops = &sink_ops, .owner = &sink};
    assert_int_equal(loop_new(NULL, &loop), 0);
    cork_init(&cork, loop);
    outbox_init(&box, &cork, 128 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    outbox_fini(&box);
    cork_fini(&cork);
    loop_free(loop);
    return 0;
}

static void corked_bytes_leave_in_order_in_one_call(void **state)
{
    (void)state;
    static char body[4096];
    memset(body, 'b', sizeof body);
    outbox_text(&box, "head:", 5);
    outbox_refer(&box, body, sizeof body);
    char *room = outbox_room(&box, 16);
    memcpy(room, "tail", 4);
    outbox_unused(&box, 12);
    assert_int_equal(sink.calls, 0);
    assert_int_equal(outbox_flush(&box, &sink.stream), 5 + sizeof body + 4);
    assert_int_equal(sink.calls, 1);
    assert_memory_equal(sink.text, "head:bbb", 8);
    assert_memory_equal(sink.text + 5 + sizeof body, "tail", 4);
    assert_false(outbox_is_blocked(&box));
    assert_null(box.kept.base);
}

static void a_short_write_keeps_the_rest_and_order(void **state)
{
    (void)state;
    char body[2000];
    memset(body, 'x', sizeof body);
    sink.room = 100;
    outbox_text(&box, "0123456789", 10);
    outbox_refer(&box, body, sizeof body);
    assert_int_equal(outbox_flush(&box, &sink.stream), 100);
    assert_true(outbox_is_blocked(&box));
    memset(body, 'y', sizeof body); /* it was borrowed until the flush */
    outbox_text(&box, "end", 3);
    assert_int_equal(outbox_flush(&box, &sink.stream), 0);
    sink.room = sizeof sink.text;
    assert_int_equal(outbox_flush(&box, &sink.stream), 2010 + 3 - 100);
    assert_int_equal(sink.len, 2013);
    assert_null(memchr(sink.text, 'y', sink.len));
    assert_memory_equal(sink.text + 2010, "end", 3);
    assert_false(outbox_is_blocked(&box));
}

static void a_second_outbox_does_not_disturb_the_first(void **state)
{
    (void)state;
    struct outbox other;
    outbox_init(&other, &cork, 1024);
    outbox_text(&box, "one", 3);
    outbox_text(&other, "two", 3);
    outbox_text(&box, "three", 5);
    assert_int_equal(outbox_flush(&box, &sink.stream), 8);
    assert_int_equal(outbox_flush(&other, &sink.stream), 3);
    assert_memory_equal(sink.text, "onethreetwo", 11);
    outbox_fini(&other);
}

static void more_than_the_cork_holds_is_one_send_all_the_same(void **state)
{
    (void)state;
    static char body[1000];
    for (unsigned i = 0; i < 2 * CORK_PARTS_MAX; i++) {
        memset(body, (int)('a' + i % 26), sizeof body);
        outbox_text(&box, "<", 1);
        outbox_refer(&box, body, i % 2 == 0 ? 10 : 1);
    }
    for (unsigned i = 0; i < 40; i++) {
        outbox_refer(&box, body, sizeof body);
        outbox_text(&box, "-", 1);
    }
    size_t all = CORK_PARTS_MAX * 2 + CORK_PARTS_MAX * 11 + 40 * 1001;
    assert_int_equal(outbox_flush(&box, &sink.stream), all);
    assert_int_equal(sink.calls, 1);
    assert_memory_equal(sink.text, "<aaaaaaaaaa<b<cccccccccc<d", 26);
}

static void what_is_kept_has_a_bound(void **state)
{
    (void)state;
    static char body[100 * 1024];
    sink.room = 0;
    outbox_refer(&box, body, sizeof body);
    outbox_flush(&box, &sink.stream);
    assert_false(box.failed);
    outbox_refer(&box, body, sizeof body);
    assert_true(box.failed);
    assert_int_equal(outbox_flush(&box, &sink.stream), 0);
    assert_null(outbox_room(&box, 1));
}

static void after_a_failure_everything_is_dropped(void **state)
{
    (void)state;
    outbox_text(&box, "lost", 4);
    sink.broken = -EPIPE;
    assert_int_equal(outbox_flush(&box, &sink.stream), 0);
    assert_true(box.failed);
    outbox_text(&box, "more", 4);
    outbox_flush(&box, &sink.stream);
    assert_int_equal(sink.calls, 1);
    assert_false(outbox_is_blocked(&box));
}

/* --- departures ---------------------------------------------------------------------------------
 */

static struct outbox *told[8];
static size_t told_sent[8];
static unsigned tolds;

static void departed(struct outbox *outbox, size_t sent)
{
    told[tolds] = outbox;
    told_sent[tolds++] = sent;
}

/* Runs in a turn of the loop, where alone something departs. */
static void in_a_turn(void (*run)(struct loop_later *later))
{
    struct loop_later later = {.run = run};
    tolds = 0;
    loop_later(loop, &later);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
}

static struct outbox second;

static void give_two(struct loop_later *later)
{
    (void)later;
    outbox_text(&box, "one", 3);
    assert_true(outbox_depart(&box, &sink.stream, departed));
    outbox_text(&second, "two", 3);
    assert_true(outbox_depart(&second, &sink.stream, departed));
    assert_true(outbox_holds(&box) && !outbox_is_blocked(&box));
    assert_int_equal(sink.calls, 0);
}

static void departures_leave_together_in_their_order(void **state)
{
    (void)state;
    outbox_init(&second, &cork, 1024);
    in_a_turn(give_two);
    assert_int_equal(sink.calls, 2);
    assert_memory_equal(sink.text, "onetwo", 6);
    assert_int_equal(tolds, 2);
    assert_ptr_equal(told[0], &box);
    assert_int_equal(told_sent[1], 3);
    assert_false(outbox_holds(&box) || outbox_holds(&second));
    outbox_fini(&second);
}

static void give_more(struct loop_later *later)
{
    give_two(later);
    outbox_text(&box, "three", 5);
    assert_int_equal(sink.calls, 1); /* what it had departed at once */
    assert_int_equal(outbox_flush(&box, &sink.stream), 5);
    assert_memory_equal(sink.text, "onethree", 8);
}

static void more_of_one_that_departs_stays_behind_it(void **state)
{
    (void)state;
    outbox_init(&second, &cork, 1024);
    in_a_turn(give_more);
    assert_int_equal(sink.calls, 3);
    assert_memory_equal(sink.text, "onethreetwo", 11);
    assert_int_equal(tolds, 2);
    outbox_fini(&second);
}

static void give_and_end(struct loop_later *later)
{
    give_two(later);
    outbox_fini(&box);
    outbox_init(&box, &cork, 1024);
}

static void an_outbox_that_ends_calls_its_departure_off(void **state)
{
    (void)state;
    outbox_init(&second, &cork, 1024);
    in_a_turn(give_and_end);
    assert_int_equal(sink.calls, 1);
    assert_memory_equal(sink.text, "two", 3);
    assert_int_equal(tolds, 1);
    outbox_fini(&second);
}

static void a_departure_may_be_short_or_fail(void **state)
{
    (void)state;
    outbox_init(&second, &cork, 1024);
    sink.room = 4;
    in_a_turn(give_two);
    assert_int_equal(told_sent[0], 3);
    assert_int_equal(told_sent[1], 1);
    assert_true(outbox_is_blocked(&second));
    sink.room = sizeof sink.text;
    assert_int_equal(outbox_flush(&second, &sink.stream), 2);
    assert_memory_equal(sink.text, "onetwo", 6);
    sink.calls = 0;
    sink.broken = -EPIPE;
    in_a_turn(give_two);
    assert_int_equal(tolds, 2);
    assert_true(box.failed && second.failed);
    outbox_fini(&second);
}

static void give_what_was_read(struct loop_later *later)
{
    (void)later;
    size_t cap;
    for (int i = 0; i < 2; i++) {
        struct outbox *to = i == 0 ? &box : &second;
        char *body = loop_buffer(loop, &cap);
        memset(body, 'a' + i, 1000);
        outbox_text(to, "head", 4);
        outbox_refer(to, body, 1000);
        outbox_text(to, "tail", 4);
        assert_true(outbox_depart(to, &sink.stream, departed));
    }
    memset(loop_buffer(loop, &cap), 'z', cap); /* the next read of the turn */
    assert_int_equal(sink.calls, 0);
}

static void what_was_read_departs_from_where_it_lies(void **state)
{
    (void)state;
    size_t cap;
    char *at = loop_buffer(loop, &cap);
    outbox_init(&second, &cork, 1024);
    in_a_turn(give_what_was_read);
    assert_int_equal(sink.calls, 2);
    assert_int_equal(sink.len, 2016);
    for (int i = 0; i < 2; i++) {
        const char *text = sink.text + i * 1008;
        assert_memory_equal(text, "head", 4);
        assert_memory_equal(text + 1004, "tail", 4);
        for (int k = 4; k < 1004; k++) {
            assert_int_equal(text[k], 'a' + i);
        }
    }
    assert_int_equal(tolds, 2);
    assert_ptr_equal(loop_buffer(loop, &cap), at); /* nothing is kept any more */
    outbox_fini(&second);
}

static void what_was_read_and_departs_may_be_short(void **state)
{
    (void)state;
    size_t cap;
    char *at = loop_buffer(loop, &cap);
    outbox_init(&second, &cork, 2048);
    sink.room = 500;
    in_a_turn(give_what_was_read);
    assert_int_equal(told_sent[0], 500);
    assert_int_equal(told_sent[1], 0);
    sink.room = sizeof sink.text;
    assert_int_equal(outbox_flush(&box, &sink.stream), 508);
    assert_int_equal(outbox_flush(&second, &sink.stream), 1008);
    assert_memory_equal(sink.text + 1000, "aaaatailhead", 12);
    outbox_fini(&second);
    assert_ptr_equal(loop_buffer(loop, &cap), at);
}

static void give_what_was_read_and_end(struct loop_later *later)
{
    give_what_was_read(later);
    outbox_fini(&box);
    outbox_init(&box, &cork, 1024);
}

static void what_was_read_is_let_go_when_its_departure_is_called_off(void **state)
{
    (void)state;
    size_t cap;
    char *at = loop_buffer(loop, &cap);
    outbox_init(&second, &cork, 1024);
    in_a_turn(give_what_was_read_and_end);
    assert_int_equal(sink.len, 1008);
    assert_ptr_equal(loop_buffer(loop, &cap), at);
    outbox_fini(&second);
}

static void give_what_cannot(struct loop_later *later)
{
    (void)later;
    static char body[1000];
    outbox_text(&box, "head", 4);
    outbox_refer(&box, body, sizeof body); /* borrowed until the flush, and not where we read */
    assert_false(outbox_depart(&box, &sink.stream, departed));
    assert_int_equal(outbox_flush(&box, &sink.stream), 1004);
    size_t cap;
    char *read = loop_buffer(loop, &cap);
    memset(read, 'r', 2000);
    outbox_refer(&box, read, 1000);
    outbox_refer(&box, read + 1000, 1000);
    assert_false(outbox_depart(&box, &sink.stream, departed)); /* two bodies */
    assert_int_equal(outbox_flush(&box, &sink.stream), 2000);
    assert_false(outbox_depart(&box, &sink.stream, departed)); /* nothing is there */
    for (unsigned i = 0; i < CORK_TEXT_BYTES / 2 + 1; i++) {
        outbox_text(&box, "x", 1);
    }
    assert_false(outbox_depart(&box, &sink.stream, departed));
    outbox_flush(&box, &sink.stream);
}

static void what_lies_elsewhere_or_is_long_does_not_depart(void **state)
{
    (void)state;
    in_a_turn(give_what_cannot);
    assert_int_equal(tolds, 0);
    outbox_text(&box, "x", 1);
    assert_false(outbox_depart(&box, &sink.stream, departed)); /* no turn would send it */
}

static struct outbox many[CORK_DEPARTURES_MAX + 1];

static void give_many(struct loop_later *later)
{
    (void)later;
    for (unsigned i = 0; i <= CORK_DEPARTURES_MAX; i++) {
        outbox_text(&many[i], "x", 1);
        bool departs = outbox_depart(&many[i], &sink.stream, departed);
        assert_int_equal(departs, i < CORK_DEPARTURES_MAX);
    }
    assert_int_equal(outbox_flush(&many[CORK_DEPARTURES_MAX], &sink.stream), 1);
    for (unsigned i = 0; i < CORK_DEPARTURES_MAX; i++) {
        outbox_fini(&many[i]);
    }
}

static void departures_have_a_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= CORK_DEPARTURES_MAX; i++) {
        outbox_init(&many[i], &cork, 16);
    }
    in_a_turn(give_many);
    assert_int_equal(sink.len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(corked_bytes_leave_in_order_in_one_call, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_write_keeps_the_rest_and_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_outbox_does_not_disturb_the_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(more_than_the_cork_holds_is_one_send_all_the_same, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_has_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_failure_everything_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(departures_leave_together_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(more_of_one_that_departs_stays_behind_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_outbox_that_ends_calls_its_departure_off, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_departure_may_be_short_or_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_read_departs_from_where_it_lies, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_read_and_departs_may_be_short, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_read_is_let_go_when_its_departure_is_called_off,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_lies_elsewhere_or_is_long_does_not_depart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(departures_have_a_bound, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
