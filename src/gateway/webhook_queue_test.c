/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/webhook_queue.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static struct webhook_queue queue;

static int begin(void **state)
{
    (void)state;
    webhook_queue_init(&queue);
    return 0;
}

static void put(uint64_t now_ms, const char *text)
{
    webhook_queue_put(&queue, now_ms, text, strlen(text));
}

static void assert_sends(uint64_t now_ms, const char *text)
{
    const struct webhook_message *message = webhook_queue_begin(&queue, now_ms);
    assert_non_null(message);
    assert_int_equal(message->len, strlen(text));
    assert_memory_equal(message->text, text, message->len);
}

static void one_at_a_time_in_order(void **state)
{
    (void)state;
    assert_true(webhook_queue_due(&queue) == UINT64_MAX);
    assert_null(webhook_queue_begin(&queue, 5));
    put(10, "a");
    put(11, "b");
    assert_int_equal(webhook_queue_due(&queue), 10);
    assert_null(webhook_queue_begin(&queue, 9));
    assert_sends(10, "a");
    assert_true(webhook_queue_due(&queue) == UINT64_MAX);
    assert_null(webhook_queue_begin(&queue, 20));
    webhook_queue_end(&queue, 20, true);
    assert_sends(20, "b");
    webhook_queue_end(&queue, 21, true);
    assert_true(webhook_queue_due(&queue) == UINT64_MAX);
    assert_int_equal(queue.counts.delivered, 2);
}

static void what_fails_is_repeated_and_given_up(void **state)
{
    (void)state;
    uint64_t now_ms = 100;
    put(now_ms, "a");
    put(now_ms, "b");
    for (unsigned i = 0; i <= WEBHOOK_REPEATS_MAX; i++) {
        assert_int_equal(webhook_queue_due(&queue), now_ms);
        assert_sends(now_ms, "a");
        webhook_queue_end(&queue, now_ms, false);
        now_ms += UINT64_C(1000) << i;
    }
    assert_int_equal(queue.counts.failed, WEBHOOK_REPEATS_MAX + 1);
    assert_int_equal(queue.counts.given_up, 1);
    assert_int_equal(webhook_queue_due(&queue), 100);
    assert_sends(now_ms, "b");
    webhook_queue_end(&queue, now_ms, false);
    assert_int_equal(webhook_queue_due(&queue), now_ms + 1000); /* it begins at one second again */
}

static void a_full_queue_drops_the_oldest(void **state)
{
    (void)state;
    char text[16];
    for (unsigned i = 0; i < WEBHOOK_QUEUE_MAX + 3; i++) {
        snprintf(text, sizeof text, "m%u", i);
        put(i, text);
        if (i == 0) {
            assert_sends(0, "m0");
        }
    }
    assert_int_equal(queue.counts.dropped, 3);
    webhook_queue_end(&queue, 1000, true); /* m0, which was under way all the time */
    for (unsigned i = 4; i < WEBHOOK_QUEUE_MAX + 3; i++) {
        snprintf(text, sizeof text, "m%u", i);
        assert_sends(1000, text);
        webhook_queue_end(&queue, 1000, true);
    }
    assert_true(webhook_queue_due(&queue) == UINT64_MAX);
}

static void without_one_under_way_the_first_leaves(void **state)
{
    (void)state;
    char text[16];
    for (unsigned i = 0; i < WEBHOOK_QUEUE_MAX + 1; i++) {
        snprintf(text, sizeof text, "m%u", i);
        put(i, text);
    }
    assert_sends(1000, "m1");
}

static void what_is_too_long_is_dropped(void **state)
{
    (void)state;
    static const char text[WEBHOOK_MESSAGE_MAX + 1];
    webhook_queue_put(&queue, 0, text, sizeof text);
    assert_int_equal(queue.counts.dropped, 1);
    webhook_queue_put(&queue, 0, text, sizeof text - 1);
    assert_int_equal(queue.count, 1);
}

int main(void)
{
#define IT(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        IT(one_at_a_time_in_order),        IT(what_fails_is_repeated_and_given_up),
        IT(a_full_queue_drops_the_oldest), IT(without_one_under_way_the_first_leaves),
        IT(what_is_too_long_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
