/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file.h"

#include "support/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIG 20000U

static char path[64];

static int make_file(void **state)
{
    (void)state;
    strcpy(path, "/tmp/weir-file-XXXXXX");
    int fd = mkstemp(path);
    char line[BIG];
    memset(line, 'x', sizeof line);
    bool done = fd >= 0 && write(fd, line, sizeof line) == (ssize_t)sizeof line;
    close(fd);
    return done ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void a_file_is_read_whole_or_refused(void **state)
{
    (void)state;
    char *text;
    size_t len;
    assert_int_equal(file_read(path, BIG, NULL, &text, &len), 0);
    assert_int_equal(len, BIG);
    assert_int_equal(text[BIG - 1], 'x');
    assert_int_equal(text[BIG], '\0');
    free(text);
    assert_int_equal(file_read(path, BIG - 1, NULL, &text, &len), -EFBIG);
    assert_int_equal(file_read(path, 0, NULL, &text, &len), -EFBIG);
    assert_int_equal(file_read("/dev/null", 0, NULL, &text, &len), 0);
    assert_int_equal(len, 0);
    assert_string_equal(text, "");
    free(text);
}

static void what_cannot_be_read_says_why(void **state)
{
    (void)state;
    char *text;
    size_t len;
    assert_int_equal(file_read("/nonexistent", BIG, NULL, &text, &len), -ENOENT);
    assert_int_equal(file_read("/", BIG, NULL, &text, &len), -EISDIR);
    assert_int_equal(file_read("/dev/zero", BIG, NULL, &text, &len), -EFBIG);
}

static void body_of_refused_memory(const struct alloc *alloc, void *arg)
{
    char *text;
    size_t len;
    (void)arg;
    if (file_read(path, BIG, alloc, &text, &len) == 0) {
        alloc_free(alloc, text);
    }
}

static void refused_memory_is_an_answer(void **state)
{
    (void)state;
    torture(body_of_refused_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole_or_refused),
        cmocka_unit_test(what_cannot_be_read_says_why),
        cmocka_unit_test(refused_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
