/* SPDX-License-Identifier: Apache-2.0 */
#include "io/append.h"

#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(base, "/tmp/weir-append-XXXXXX");
    return mkdtemp(base) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *const names[] = {"f", "g", "small"};
    struct append_folder folder;
    if (append_folder_open(base, &folder) == 0) {
        for (unsigned i = 0; i < 3; i++) {
            append_remove(&folder, names[i]);
        }
        append_folder_close(&folder);
    }
    return rmdir(base);
}

static struct append_folder opened(void)
{
    struct append_folder folder;
    assert_int_equal(append_folder_open(base, &folder), 0);
    return folder;
}

static void what_was_appended_is_there_and_nobody_elses(void **state)
{
    (void)state;
    struct stat facts;
    struct append file;
    const char *bytes;
    struct append_folder folder = opened();
    assert_int_equal(append_open(&folder, "f", false, &file), 0);
    assert_int_equal(append_map(&file, &bytes), 0);
    assert_null(bytes);
    append_unmap(&file, bytes);
    assert_int_equal(append_write(&file, "one", 3), 0);
    assert_int_equal(append_write(&file, "two", 3), 0);
    assert_int_equal(append_sync(&file), 0);
    assert_int_equal(fstat(file.fd, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    append_close(&file);
    assert_int_equal(append_rename(&folder, "f", "g"), 0);
    assert_int_equal(append_open(&folder, "g", false, &file), 0);
    assert_int_equal(file.size, 6);
    assert_int_equal(append_map(&file, &bytes), 0);
    assert_memory_equal(bytes, "onetwo", 6);
    append_unmap(&file, bytes);
    char copy[8];
    assert_int_equal(append_read(&file, copy, 6), 0);
    assert_memory_equal(copy, "onetwo", 6);
    assert_int_equal(append_read(&file, copy, 7), -EIO);
    assert_int_equal(append_cut(&file, 3), 0);
    append_close(&file);
    assert_int_equal(append_open(&folder, "g", true, &file), 0);
    assert_int_equal(file.size, 0);
    append_close(&file);
    append_folder_close(&folder);
}

static void a_folder_has_one_writer_and_is_closed_to_others(void **state)
{
    (void)state;
    char path[100];
    struct append_folder second, folder = opened();
    assert_int_equal(append_folder_open(base, &second), -EBUSY);
    struct append file;
    assert_int_equal(append_open(&folder, "f", false, &file), 0);
    append_close(&file);
    append_folder_close(&folder);
    assert_int_equal(chmod(base, 0750), 0);
    assert_int_equal(append_folder_open(base, &second), -EPERM);
    assert_int_equal(chmod(base, 0700), 0);
    snprintf(path, sizeof path, "%s/f", base);
    assert_int_equal(append_folder_open(path, &second), -EPERM);
    snprintf(path, sizeof path, "%s/no/such", base);
    assert_int_equal(append_folder_open(path, &second), -ENOENT);
    folder = opened();
    assert_int_equal(symlinkat("f", folder.fd, "small"), 0);
    assert_int_equal(append_open(&folder, "small", false, &file), -ELOOP);
    append_folder_close(&folder);
}

static void a_full_disk_takes_all_or_nothing(void **state)
{
    (void)state;
    struct rlimit before, little;
    struct append file;
    struct append_folder folder = opened();
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = 10;
    assert_int_equal(append_open(&folder, "f", true, &file), 0);
    assert_int_equal(append_write(&file, "1234567", 7), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    assert_int_equal(append_write(&file, "89abcde", 7), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(file.size, 7);
    assert_int_equal(lseek(file.fd, 0, SEEK_END), 7);
    assert_int_equal(append_write(&file, "89", 2), 0);
    append_close(&file);
    append_folder_close(&folder);
}

static void a_small_file_is_whole_and_stays(void **state)
{
    (void)state;
    char back[4];
    struct append_folder folder = opened();
    assert_int_equal(append_read_small(&folder, "small", back, 4), -ENOENT);
    assert_int_equal(append_write_small(&folder, "small", "abcd", 4), 0);
    assert_int_equal(append_write_small(&folder, "small", "efgh", 4), -EEXIST);
    assert_int_equal(append_read_small(&folder, "small", back, 4), 0);
    assert_memory_equal(back, "abcd", 4);
    assert_int_equal(append_read_small(&folder, "small", back, 3), -EIO);
    append_folder_close(&folder);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(what_was_appended_is_there_and_nobody_elses),
        IN_A_FOLDER(a_folder_has_one_writer_and_is_closed_to_others),
        IN_A_FOLDER(a_full_disk_takes_all_or_nothing),
        IN_A_FOLDER(a_small_file_is_whole_and_stays),
    };
    return cmocka_run_group_tests_name("append", tests, NULL, NULL);
}
