/* SPDX-License-Identifier: Apache-2.0 */
#include "io/arrival.h"

#include "io/socket.h"
#include "io/watch.h"
#include "support/turns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENDS_MAX 40

struct table;

/* The end of a connection that is read ahead; the test holds the other one. */
struct end {
    struct table *table;
    struct stream *stream;
    int peer;
    uint32_t told;
    size_t most; /* that it reads at a time; 0: all */
    size_t got;
    ssize_t last;        /* of read() */
    bool was_there;      /* what was read to the inbox lay there already */
    bool next_was_there; /* for the next end something had arrived before it was told */
    void (*act)(struct end *next);
    char text[4 * ARRIVAL_BYTES];
};

struct table {
    struct alloc_count memory;
    struct loop *loop;
    int count;
    struct end ends[ENDS_MAX];
};

static void on_ready(struct stream *stream, unsigned events)
{
    struct end *end = stream->owner;
    struct end *next = end + 1;
    size_t cap;
    end->told++;
    if (next < end->table->ends + end->table->count && next->stream != NULL) {
        end->next_was_there |= socket_has_arrived(next->stream);
        if (end->act != NULL) {
            end->act(next);
            end->act = NULL;
        }
    }
    if ((events & STREAM_READ) == 0) {
        return;
    }
    char *buf = loop_inbox(end->table->loop, &cap);
    end->was_there = socket_has_arrived(stream) && cap > 0 && buf[0] != 0;
    cap = end->most > 0 && end->most < cap ? end->most : cap;
    end->last = stream_read(stream, buf, cap);
    if (end->last > 0) {
        assert_true(end->got + (size_t)end->last <= sizeof end->text);
        memcpy(end->text + end->got, buf, (size_t)end->last);
        end->got += (size_t)end->last;
    } else if (end->last != -EAGAIN) {
        stream_want(stream, 0);
    }
}

static struct table *table_new(int count)
{
    struct table *table = test_calloc(1, sizeof *table);
    table->count = count;
    alloc_count_init(&table->memory, &alloc_libc);
    struct loop_options opt = {.alloc = &table->memory.hooks};
    assert_int_equal(loop_new(&opt, &table->loop), 0);
    for (int i = 0; i < count; i++) {
        struct end *end = &table->ends[i];
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        assert_int_equal(socket_adopt(table->loop, fds[0], &end->stream), 0);
        end->table = table;
        end->peer = fds[1];
        end->stream->owner = end;
        end->stream->on_ready = on_ready;
        socket_read_ahead(end->stream);
        stream_want(end->stream, STREAM_READ);
    }
    return table;
}

static void table_free(struct table *table)
{
    for (int i = 0; i < table->count; i++) {
        if (table->ends[i].stream != NULL) {
            stream_close(table->ends[i].stream);
        }
        close(table->ends[i].peer);
    }
    loop_free(table->loop);
    assert_int_equal(table->memory.out, 0);
    test_free(table);
}

static void say(const struct end *end, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(end->peer, text, len, MSG_NOSIGNAL), len);
}

/* All who were written to are told, in the order in which they were. */
static void say_all(struct table *table)
{
    for (int i = 0; i < table->count; i++) {
        char text[32];
        snprintf(text, sizeof text, "this is for %d", i);
        say(&table->ends[i], text);
    }
}

static void assert_heard(const struct end *end, const char *text)
{
    assert_int_equal(end->got, strlen(text));
    assert_memory_equal(end->text, text, end->got);
}

static void a_group_is_received_for_before_any_of_it_is_told(void **state)
{
    (void)state;
    struct table *table = table_new(ENDS_MAX);
    say_all(table);
    loop_turn(table->loop, 0);
    for (int i = 0; i < ENDS_MAX; i++) {
        char text[32];
        snprintf(text, sizeof text, "this is for %d", i);
        assert_heard(&table->ends[i], text);
        assert_int_equal(table->ends[i].told, 1);
        assert_true(table->ends[i].was_there);
        assert_false(socket_has_arrived(table->ends[i].stream));
        if (i + 1 < ENDS_MAX) {
            assert_int_equal(table->ends[i].next_was_there, (i + 1) % (int)ARRIVALS_MAX != 0);
        }
    }
    assert_int_equal(loop_timeout_ms(table->loop), -1);
    table_free(table);
}

static void pause_it(struct end *next)
{
    stream_want(next->stream, 0);
}

static void who_is_paused_meanwhile_reads_it_later_and_in_order(void **state)
{
    (void)state;
    struct table *table = table_new(2);
    struct end *second = &table->ends[1];
    table->ends[0].act = pause_it;
    say_all(table);
    loop_turn(table->loop, 0);
    assert_int_equal(second->told, 0);
    assert_true(socket_has_arrived(second->stream));
    assert_true(socket_is_dirty(second->stream));
    char peeked[7] = "";
    assert_int_equal(socket_peek(second->stream, peeked, 6), 6);
    assert_string_equal(peeked, "this i");

    assert_int_equal(loop_timeout_ms(table->loop), -1);
    say(second, " and more");
    loop_turn(table->loop, 0);
    assert_int_equal(second->told, 0);

    stream_want(second->stream, STREAM_READ);
    assert_int_equal(loop_timeout_ms(table->loop), 0);
    turn_until(table->loop, second->got == strlen("this is for 1 and more"));
    assert_heard(second, "this is for 1 and more");
    assert_int_equal(loop_timeout_ms(table->loop), -1);
    table_free(table);
}

static void who_reads_a_part_is_told_again(void **state)
{
    (void)state;
    struct table *table = table_new(1);
    struct end *end = &table->ends[0];
    end->most = 5;
    say_all(table);
    turn_until(table->loop, end->got == strlen("this is for 0"));
    assert_heard(end, "this is for 0");
    assert_int_equal(end->told, 3);
    table_free(table);
}

static void close_it(struct end *next)
{
    stream_close(next->stream);
    next->stream = NULL;
}

static void who_is_closed_meanwhile_is_not_told(void **state)
{
    (void)state;
    struct table *table = table_new(4);
    table->ends[0].act = close_it;
    table->ends[2].act = pause_it;
    say_all(table);
    loop_turn(table->loop, 0);
    assert_int_equal(table->ends[1].told, 0);
    assert_heard(&table->ends[2], "this is for 2"); /* its arrival is not the closed one's */
    close_it(&table->ends[3]);                      /* with something left for it */
    assert_int_equal(loop_timeout_ms(table->loop), -1);
    table_free(table);
}

static void close_the_rest(struct end *next)
{
    struct table *table = next->table;
    for (struct end *end = next; end < table->ends + table->count; end++) {
        close_it(end);
    }
}

static void pause_the_rest(struct end *next)
{
    struct table *table = next->table;
    for (struct end *end = next; end < table->ends + table->count; end++) {
        stream_want(end->stream, 0);
    }
}

static void those_left_may_close_each_other(void **state)
{
    (void)state;
    struct table *table = table_new(5);
    table->ends[0].act = pause_the_rest;
    say_all(table);
    loop_turn(table->loop, 0);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(table->ends[i].told, 0);
        stream_want(table->ends[i].stream, STREAM_READ);
    }
    table->ends[2].act = close_the_rest;
    turn_until(table->loop, table->ends[2].told == 1);
    assert_heard(&table->ends[1], "this is for 1");
    assert_heard(&table->ends[2], "this is for 2");
    assert_int_equal(table->ends[3].told + table->ends[4].told, 0);
    table_free(table);
}

static void an_end_that_nobody_heard_shows_again(void **state)
{
    (void)state;
    struct table *table = table_new(2);
    struct end *second = &table->ends[1];
    table->ends[0].act = pause_it;
    say(&table->ends[0], "hello");
    shutdown(second->peer, SHUT_WR);
    loop_turn(table->loop, 0);
    assert_int_equal(second->told, 0);
    second->last = 1;
    stream_want(second->stream, STREAM_READ);
    turn_until(table->loop, second->told == 1);
    assert_int_equal(second->last, 0);
    table_free(table);
}

static void without_memory_the_connection_ends_with_the_reason(void **state)
{
    (void)state;
    struct table *table = table_new(2);
    struct end *second = &table->ends[1];
    table->ends[0].act = pause_it;
    say_all(table);
    table->memory.fail_at = table->memory.calls + 1;
    loop_turn(table->loop, 0);
    assert_int_equal(second->told, 0);
    char byte;
    assert_int_equal(socket_peek(second->stream, &byte, 1), -ENOMEM);
    stream_want(second->stream, STREAM_READ);
    turn_until(table->loop, second->told == 1);
    assert_int_equal(second->last, -ENOMEM);
    assert_int_equal(second->got, 0);
    table_free(table);
}

/* Who reads much at a time reads himself, until there is less again. */
static void bulk_is_not_received_ahead(void **state)
{
    (void)state;
    static char much[3 * ARRIVAL_BYTES];
    memset(much, 'x', sizeof much);
    struct table *table = table_new(1);
    struct end *end = &table->ends[0];
    assert_int_equal(send(end->peer, much, sizeof much, MSG_NOSIGNAL), sizeof much);
    loop_turn(table->loop, 0);
    assert_true(end->was_there);
    assert_int_equal(end->got, ARRIVAL_BYTES);
    loop_turn(table->loop, 0);
    assert_false(end->was_there);
    assert_int_equal(end->got, sizeof much);

    end->got = 0;
    say(end, "less"); /* read as before, and less than a bulk's */
    turn_until(table->loop, end->got == 4);
    assert_false(end->was_there);
    say(end, "less");
    turn_until(table->loop, end->got == 8);
    assert_true(end->was_there);
    table_free(table);
}

static void what_filled_its_room_may_have_more_behind_it(void **state)
{
    (void)state;
    static char much[ARRIVAL_BYTES + 1];
    memset(much, 'x', sizeof much);
    struct table *table = table_new(1);
    struct end *end = &table->ends[0];
    assert_int_equal(send(end->peer, much, ARRIVAL_BYTES, MSG_NOSIGNAL), ARRIVAL_BYTES);
    loop_turn(table->loop, 0);
    assert_int_equal(end->got, ARRIVAL_BYTES);
    assert_false(socket_holds_more(end->stream));

    end->got = 0;
    end->most = ARRIVAL_BYTES; /* that one is read as one of many */
    assert_int_equal(send(end->peer, much, sizeof much, MSG_NOSIGNAL), sizeof much);
    loop_turn(table->loop, 0);
    assert_int_equal(end->got, ARRIVAL_BYTES);
    assert_true(socket_holds_more(end->stream));
    loop_turn(table->loop, 0);
    assert_int_equal(end->got, sizeof much);
    assert_false(socket_holds_more(end->stream));

    end->got = 0;
    assert_int_equal(send(end->peer, much, sizeof much, MSG_NOSIGNAL), sizeof much);
    loop_turn(table->loop, 0);
    assert_true(end->was_there);
    assert_true(socket_holds_more(end->stream));
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_received_for_before_any_of_it_is_told),
        cmocka_unit_test(who_is_paused_meanwhile_reads_it_later_and_in_order),
        cmocka_unit_test(who_reads_a_part_is_told_again),
        cmocka_unit_test(who_is_closed_meanwhile_is_not_told),
        cmocka_unit_test(those_left_may_close_each_other),
        cmocka_unit_test(an_end_that_nobody_heard_shows_again),
        cmocka_unit_test(without_memory_the_connection_ends_with_the_reason),
        cmocka_unit_test(bulk_is_not_received_ahead),
        cmocka_unit_test(what_filled_its_room_may_have_more_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
