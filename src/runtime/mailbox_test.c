/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mailbox.h"

#include "support/unit.h"

#include <pthread.h>
#include <sched.h>

struct reader {
    struct mailbox *mailbox;
    uint64_t next[4]; /* what each sender's next letter must say */
    uint64_t got;
    bool out_of_order;
};

static void read_letter(void *self, uint64_t value)
{
    struct reader *reader = self;
    uint64_t from = value >> 32;
    uint64_t number = value & UINT32_MAX;
    reader->out_of_order |= number != reader->next[from];
    reader->next[from] = number + 1;
    reader->got++;
}

static bool write_letter(struct mailbox *mailbox, uint32_t from, uint32_t to, uint64_t number,
                         struct reader *reader)
{
    const struct letter letter = {
        .run = read_letter, .self = reader, .value = (uint64_t)from << 32 | number};
    return mailbox_send(mailbox, from, to, &letter);
}

static void letters_arrive_once_and_in_order(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new(&alloc_libc, 3);
    struct reader reader = {.mailbox = mailbox};
    for (uint64_t i = 0; i < 10; i++) {
        assert_true(write_letter(mailbox, 0, 2, i, &reader));
        assert_true(write_letter(mailbox, 1, 2, i, &reader));
        assert_true(write_letter(mailbox, 2, 2, i, &reader)); /* to oneself */
    }
    assert_int_equal(mailbox_receive(mailbox, 1), 0);
    assert_int_equal(mailbox_receive(mailbox, 2), 30);
    assert_int_equal(mailbox_receive(mailbox, 2), 0);
    assert_false(reader.out_of_order);
    mailbox_free(mailbox);
}

static void a_full_ring_says_so_and_loses_nothing(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new(&alloc_libc, 2);
    struct reader reader = {.mailbox = mailbox};
    for (uint64_t i = 0; i < MAILBOX_LETTERS_MAX; i++) {
        assert_true(write_letter(mailbox, 0, 1, i, &reader));
    }
    assert_false(write_letter(mailbox, 0, 1, MAILBOX_LETTERS_MAX, &reader));
    assert_true(write_letter(mailbox, 1, 1, 0, &reader)); /* other rings have room */
    assert_int_equal(mailbox_receive(mailbox, 1), MAILBOX_LETTERS_MAX + 1);
    assert_true(write_letter(mailbox, 0, 1, MAILBOX_LETTERS_MAX, &reader));
    assert_int_equal(mailbox_receive(mailbox, 1), 1);
    assert_false(reader.out_of_order);
    mailbox_free(mailbox);
}

static void write_back(void *self, uint64_t value)
{
    struct mailbox *mailbox = self;
    const struct letter again = {.run = write_back, .self = mailbox, .value = value + 1};
    mailbox_send(mailbox, 0, 0, &again);
}

static void letters_that_write_letters_do_not_keep_the_reader(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new(&alloc_libc, 1);
    write_back(mailbox, 0);
    assert_int_equal(mailbox_receive(mailbox, 0), MAILBOX_LETTERS_MAX);
    mailbox_free(mailbox);
}

struct sender {
    struct reader *reader;
    uint32_t from;
    uint64_t count;
};

static void *send_many(void *arg)
{
    struct sender *sender = arg;
    for (uint64_t i = 0; i < sender->count;) {
        if (write_letter(sender->reader->mailbox, sender->from, 0, i, sender->reader)) {
            i++;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

static void three_threads_write_to_one(void **state)
{
    (void)state;
    enum { EACH = 20000 };
    struct reader reader = {.mailbox = mailbox_new(&alloc_libc, 4)};
    struct sender senders[3];
    pthread_t threads[3];
    for (uint32_t i = 0; i < 3; i++) {
        senders[i] = (struct sender){&reader, i + 1, EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    while (reader.got < 3 * (uint64_t)EACH) {
        if (mailbox_receive(reader.mailbox, 0) == 0) {
            sched_yield();
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_false(reader.out_of_order);
    mailbox_free(reader.mailbox);
}

static void make_one(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct mailbox *mailbox = mailbox_new(alloc, 3);
    if (mailbox != NULL) {
        mailbox_free(mailbox);
    }
}

static void every_refused_allocation_is_survived(void **state)
{
    (void)state;
    torture(make_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_arrive_once_and_in_order),
        cmocka_unit_test(a_full_ring_says_so_and_loses_nothing),
        cmocka_unit_test(letters_that_write_letters_do_not_keep_the_reader),
        cmocka_unit_test(three_threads_write_to_one),
        cmocka_unit_test(every_refused_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
