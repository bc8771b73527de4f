/* SPDX-License-Identifier: Apache-2.0 */
#include "session/book.h"

#include "base/rand.h"
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS 6U
#define HEARD   64U
#define HOUR    UINT64_C(3600000)

static const struct book_time noon = {.mono_ms = 100 * HOUR,
                                      .wall_ms = 1000 * HOUR,
                                      .boot = {1, 1}};

/* A folder of its own, in memory where there is such a place. */
static char folder[64], file[100], beside[110], secret[100];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/weir-book-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(file, sizeof file, "%s/sessions.journal", folder);
    snprintf(beside, sizeof beside, "%s.new", file);
    snprintf(secret, sizeof secret, "%s/secret", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    unlink(beside);
    unlink(secret);
    return rmdir(folder);
}

struct heard {
    unsigned count;
    struct session_record records[HEARD];
    char users[HEARD][16];
};

static void on_heard(void *self, const struct session_record *record)
{
    struct heard *heard = self;
    assert_true(heard->count < HEARD);
    heard->records[heard->count] = *record;
    slice_copy(heard->users[heard->count], 16, record->names[SESSION_USER]);
    heard->count++;
}

static weir_err open_at(struct book_time now, struct heard *heard, struct book **ret_book)
{
    static uint32_t salt;
    const struct book_options opt = {
        .path = folder, .fsync = BOOK_ALWAYS, .now = now, .salt = ++salt};
    *heard = (struct heard){0};
    return book_open(&opt, on_heard, heard, ret_book);
}

static struct book *opened(struct heard *heard)
{
    struct book *book = NULL;
    assert_int_equal(open_at(noon, heard, &book), WEIR_OK);
    return book;
}

static struct session_record record_of(unsigned number)
{
    return (struct session_record){.kind = SESSION_WHOLE,
                                   .id = {7, number + 1},
                                   .created_ms = noon.mono_ms - HOUR,
                                   .active_ms = noon.mono_ms - number,
                                   .expires_ms = noon.mono_ms + HOUR + number,
                                   .ttl_ms = number + 1,
                                   .names = {{&"somebody"[number % 4], 4}}};
}

static weir_err write_one(struct book *book, unsigned number, uint64_t *ret_place)
{
    struct session_record record = record_of(number);
    return book_write(book, &record, 1, ret_place);
}

static void fill(struct book *book, unsigned count)
{
    uint64_t place;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(write_one(book, i, &place), WEIR_OK);
    }
}

/* Those that were heard are the first ones that were written, each as it was. */
static void must_be_the_first(const struct heard *heard)
{
    for (unsigned i = 0; i < heard->count; i++) {
        struct session_record want = record_of(i);
        const struct session_record *got = &heard->records[i];
        assert_true(session_id_same(got->id, want.id) && got->expires_ms == want.expires_ms
                    && got->active_ms == want.active_ms && got->created_ms == want.created_ms
                    && got->ttl_ms == want.ttl_ms);
        assert_true(slice_is(want.names[0], heard->users[i]));
    }
}

/* Open again, and the first `count` are heard. */
static struct book *reopened(unsigned count)
{
    struct heard heard;
    struct book *book = opened(&heard);
    assert_int_equal(heard.count, count);
    must_be_the_first(&heard);
    return book;
}

/* The file's bytes, to be spoilt and put back. */
struct bytes_of {
    char at[4096];
    size_t len;
};

static void load(struct bytes_of *bytes)
{
    int fd = open(file, O_RDONLY);
    ssize_t len = read(fd, bytes->at, sizeof bytes->at);
    assert_true(len > 0);
    bytes->len = (size_t)len;
    close(fd);
}

static void store(const char *at, size_t len)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, at, len), len);
    close(fd);
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct heard heard;
    uint64_t place;
    struct book *other, *book = opened(&heard);
    assert_int_equal(heard.count, 0);
    assert_int_equal(open_at(noon, &heard, &other), WEIR_EEXISTS);
    fill(book, RECORDS);
    assert_true(book_is_behind(book));
    assert_int_equal(book_sync(book), WEIR_OK);
    assert_false(book_is_behind(book));
    book_close(book);
    for (unsigned i = 0; i < 3; i++) { /* again and again */
        book = opened(&heard);
        assert_int_equal(heard.count, RECORDS + i);
        heard.count = RECORDS;
        must_be_the_first(&heard);
        assert_int_equal(book_count(book).cut, 0);
        assert_int_equal(write_one(book, 9, &place), WEIR_OK);
        book_close(book);
    }
    struct stat facts;
    assert_int_equal(stat(file, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
}

static void a_torn_tail_is_cut_wherever_it_was_torn(void **state)
{
    (void)state;
    struct heard heard;
    struct bytes_of bytes;
    struct book *book = opened(&heard);
    fill(book, RECORDS);
    book_close(book);
    load(&bytes);
    unsigned last = 0;
    for (size_t len = 0; len <= bytes.len; len++) {
        store(bytes.at, len);
        book = opened(&heard);
        must_be_the_first(&heard);
        assert_in_range(heard.count, last, last + 1);
        last = heard.count;
        fill(book, 1); /* life goes on behind it */
        book_close(book);
        book = opened(&heard);
        assert_int_equal(heard.count, last + 1);
        heard.count = last;
        must_be_the_first(&heard);
        book_close(book);
    }
    assert_int_equal(last, RECORDS);
}

static void no_flipped_bit_makes_a_wrong_session(void **state)
{
    (void)state;
    struct heard heard;
    struct bytes_of bytes;
    struct book *book = opened(&heard);
    fill(book, RECORDS);
    book_close(book);
    load(&bytes);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.at[bit / 8] = (char)(bytes.at[bit / 8] ^ 1 << bit % 8);
        store(bytes.at, bytes.len);
        bytes.at[bit / 8] = (char)(bytes.at[bit / 8] ^ 1 << bit % 8);
        book = opened(&heard);
        must_be_the_first(&heard);
        assert_true(bit >= 32 * 8 || heard.count == RECORDS); /* the head is there twice */
        book_close(book);
    }
}

static void a_full_disk_is_said_and_a_new_file_mends_it(void **state)
{
    (void)state;
    struct rlimit before, little;
    struct heard heard;
    uint64_t place;
    struct book *book = opened(&heard);
    fill(book, 2);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = (rlim_t)book_count(book).bytes + 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    assert_int_equal(write_one(book, 2, &place), WEIR_EIO);
    assert_true(book_count(book).is_broken && book_wants_rewriting(book));
    assert_int_equal(book_wait(book, place + 1), WEIR_EIO);
    little.rlim_cur = 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    assert_int_equal(book_rewrite_begin(book, noon, 77), WEIR_EIO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(write_one(book, 2, &place), WEIR_EIO); /* there is a gap before it */
    assert_int_equal(book_rewrite_begin(book, noon, 77), WEIR_OK);
    for (unsigned i = 0; i < 3; i++) {
        struct session_record record = record_of(i);
        book_copy(book, &record);
    }
    assert_int_equal(book_rewrite_end(book), WEIR_OK);
    assert_false(book_wants_rewriting(book));
    assert_int_equal(write_one(book, 3, &place), WEIR_OK);
    assert_int_equal(book_wait(book, place), WEIR_OK);
    book_close(book);
    book = reopened(4);
    book_close(book);
}

static void what_happens_while_it_is_written_anew_is_in_both(void **state)
{
    (void)state;
    struct heard heard;
    struct bytes_of bytes;
    uint64_t place;
    struct book *book = opened(&heard);
    fill(book, 2);
    assert_int_equal(book_rewrite_begin(book, noon, 5), WEIR_OK);
    struct session_record record = record_of(0);
    book_copy(book, &record);
    record = record_of(1);
    book_copy(book, &record);
    assert_int_equal(write_one(book, 2, &place), WEIR_OK);
    load(&bytes); /* a crash now */
    assert_int_equal(book_rewrite_end(book), WEIR_OK);
    assert_int_equal(book_count(book).rewrites, 1);
    book_close(book);
    book = reopened(3);
    assert_int_equal(book_rewrite_begin(book, noon, 6), WEIR_OK);
    book_close(book); /* without an end */
    assert_int_equal(access(beside, F_OK), -1);
    store(bytes.at, bytes.len);
    book = reopened(3);
    book_close(book);
}

static void times_are_moved_over_a_reboot(void **state)
{
    (void)state;
    struct heard heard;
    struct book *book = opened(&heard);
    fill(book, 1);
    book_close(book);
    struct bytes_of bytes;
    load(&bytes);
    /* The same boot: the wall clock says nothing. */
    struct book_time later = {noon.mono_ms + 5, 3, noon.boot};
    assert_int_equal(open_at(later, &heard, &book), WEIR_OK);
    must_be_the_first(&heard);
    book_close(book);
    store(bytes.at, bytes.len);
    /* Another one, half an hour later, up for ten minutes: half an hour is left. */
    later = (struct book_time){HOUR / 6, noon.wall_ms + HOUR / 2, {2, 2}};
    assert_int_equal(open_at(later, &heard, &book), WEIR_OK);
    assert_true(heard.records[0].expires_ms == later.mono_ms + HOUR / 2);
    assert_true(heard.records[0].created_ms == 0 && heard.records[0].bound_until_ms == 0);
    book_close(book);
    /* And once more: what lies behind the first time is of the first boot. */
    later.wall_ms += HOUR;
    later.boot.low++;
    assert_int_equal(open_at(later, &heard, &book), WEIR_OK);
    assert_true(heard.records[0].expires_ms == 0);
    book_close(book);
    store(bytes.at, bytes.len);
    /* A wall clock that was set back by days: no younger than it was. */
    later = (struct book_time){HOUR / 6, noon.wall_ms - 100 * HOUR, {2, 2}};
    assert_int_equal(open_at(later, &heard, &book), WEIR_OK);
    assert_true(heard.records[0].expires_ms == later.mono_ms + HOUR);
    book_close(book);
}

static void the_secret_is_made_once(void **state)
{
    (void)state;
    struct heard heard;
    char one[8] = "secret1", two[8] = "secret2";
    struct book *book = opened(&heard);
    assert_int_equal(book_secret(book, one, 8), WEIR_OK);
    assert_int_equal(book_secret(book, two, 8), WEIR_OK);
    assert_string_equal(two, "secret1");
    book_close(book);
    struct session_id boot = book_boot();
    assert_true(session_id_same(boot, book_boot()));
}

/* --- many at once, and a sudden end -------------------------------------------------------------
 */

#define THREADS 4U
#define EACH    5U

struct writer {
    struct book *book;
    unsigned first;
};

static void *write_and_wait(void *self)
{
    const struct writer *writer = self;
    for (unsigned i = 0; i < EACH; i++) {
        uint64_t place = 0;
        bool is_fine = write_one(writer->book, writer->first + i, &place) == WEIR_OK
                       && book_wait(writer->book, place) == WEIR_OK;
        if (!is_fine) {
            return self;
        }
    }
    return NULL;
}

static void one_sync_serves_all_who_wait(void **state)
{
    (void)state;
    struct heard heard;
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    struct book *book = opened(&heard);
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){book, i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_wait, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_in_range(book_count(book).syncs, 1, THREADS * EACH);
    assert_false(book_is_behind(book));
    book_close(book);
    book = opened(&heard);
    assert_int_equal(heard.count, THREADS * EACH);
    book_close(book);
}

/* Writes until it is killed, and says each time what it was told. */
static void child_main(int say)
{
    struct heard heard;
    struct book *book;
    uint64_t place;
    if (open_at(noon, &heard, &book) != WEIR_OK) {
        _exit(1);
    }
    for (unsigned i = heard.count; i < HEARD - 1; i++) {
        char byte = (char)i;
        if (write_one(book, i, &place) != WEIR_OK || write(say, &byte, 1) != 1) {
            _exit(1);
        }
        if (i % 7 == 3 && book_rewrite_begin(book, noon, i) == WEIR_OK) {
            for (unsigned k = 0; k <= i; k++) {
                struct session_record record = record_of(k);
                book_copy(book, &record);
            }
            book_rewrite_end(book);
        }
    }
    pause();
}

static void a_killed_process_loses_nothing_it_was_told(void **state)
{
    (void)state;
    struct heard heard;
    struct rand rand;
    rand_init(&rand, 3);
    unsigned told = 0;
    while (told < HEARD - 1) {
        int ends[2];
        char byte;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            child_main(ends[1]);
        }
        close(ends[1]);
        for (uint64_t n = rand_between(&rand, 1, 9); n > 0 && told < HEARD - 1; n--) {
            assert_int_equal(read(ends[0], &byte, 1), 1);
            told = (unsigned)byte + 1;
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (read(ends[0], &byte, 1) == 1) { /* said before it died */
            told = (unsigned)byte + 1;
        }
        close(ends[0]);
        struct book *book = opened(&heard);
        assert_in_range(heard.count, told, told + 1);
        must_be_the_first(&heard);
        told = heard.count;
        book_close(book);
    }
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(what_was_written_is_read),
        IN_A_FOLDER(a_torn_tail_is_cut_wherever_it_was_torn),
        IN_A_FOLDER(no_flipped_bit_makes_a_wrong_session),
        IN_A_FOLDER(a_full_disk_is_said_and_a_new_file_mends_it),
        IN_A_FOLDER(what_happens_while_it_is_written_anew_is_in_both),
        IN_A_FOLDER(times_are_moved_over_a_reboot),
        IN_A_FOLDER(the_secret_is_made_once),
        IN_A_FOLDER(one_sync_serves_all_who_wait),
        IN_A_FOLDER(a_killed_process_loses_nothing_it_was_told),
    };
    return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}
