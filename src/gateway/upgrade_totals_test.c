/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upgrade_totals.h"

#include "gateway/server.h"
#include "io/append.h"
#include "proto/prom_totals.h"
#include "support/unit.h"

#include <fcntl.h>
#include <unistd.h>

struct heard {
    struct server server;
    unsigned warnings;
};

static void on_log(void *self, enum log_level level, const char *what,
                   const struct log_field *fields, size_t count)
{
    struct heard *heard = self;
    (void)what, (void)fields, (void)count;
    heard->warnings += level == LOG_WARN_LEVEL;
}

static void listen_to(struct heard *heard)
{
    *heard = (struct heard){.warnings = 0};
    heard->server.voice.sink = (struct log_sink){on_log, heard, LOG_DEBUG_LEVEL};
}

/* A file of memory, as long as it is said to be. */
static int file_of(const void *bytes, size_t len, uint64_t size)
{
    struct append file;
    assert_int_equal(append_memory("test", &file), 0);
    assert_int_equal(append_write(&file, bytes, len), 0);
    assert_int_equal(ftruncate(file.fd, (off_t)size), 0);
    return file.fd;
}

static void hear(struct heard *heard, const void *bytes, size_t len, uint64_t size)
{
    int fd = file_of(bytes, len, size);
    upgrade_totals_hear(&heard->server, fd);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was taken */
}

/* It is said once that it is odd, and what was heard before stays. */
static void hear_odd(struct heard *heard, const void *bytes, size_t len, uint64_t size)
{
    const struct prom_totals *first = heard->server.totals;
    heard->warnings = 0;
    heard->server.totals_error = 0; /* the one before was good */
    hear(heard, bytes, len, size);
    hear(heard, bytes, len, size);
    assert_int_equal(heard->warnings, 1); /* and not each time */
    assert_ptr_equal(heard->server.totals, first);
}

static void a_file_that_is_odd_changes_nothing(void **state)
{
    (void)state;
    const struct prom_total total = {.kind = PROM_TOTAL_WHOLE, .whole = 7};
    struct heard heard;
    struct bytes out;
    int ends[2];
    listen_to(&heard);
    bytes_init(&out, &alloc_libc, 4096);
    assert_true(prom_totals_begin(&out));
    assert_true(prom_totals_add(&out, "weir_done_total", NULL, &total));
    assert_true(prom_totals_end(&out));
    size_t len = bytes_len(&out);
    hear(&heard, bytes_at(&out), len, len);
    assert_int_equal(heard.warnings, 0);
    struct prom_totals *first = heard.server.totals;
    assert_int_equal(prom_totals_count(first), 1);

    hear_odd(&heard, "", 0, 0);
    hear_odd(&heard, bytes_at(&out), len, len - 1);
    hear_odd(&heard, bytes_at(&out), len, len + 1);
    hear_odd(&heard, bytes_at(&out), len, PROM_TOTALS_BYTES_MAX + 1);
    hear_odd(&heard, "garbage that is long enough to have a head", 42, 42);
    assert_int_equal(pipe(ends), 0);
    heard.warnings = 0;
    heard.server.totals_error = 0;
    upgrade_totals_hear(&heard.server, ends[0]); /* no file at all */
    close(ends[1]);
    assert_int_equal(heard.warnings, 1);
    assert_ptr_equal(heard.server.totals, first);

    hear(&heard, bytes_at(&out), len, len); /* a later one takes its place */
    assert_int_equal(heard.warnings, 1);
    assert_int_equal(heard.server.totals_error, 0);
    assert_int_equal(prom_totals_count(heard.server.totals), 1);
    prom_totals_free(heard.server.totals);
    bytes_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_odd_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
