/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pages.h"

#include "support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 64U

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static char *mapped(void)
{
    char *at = mmap(NULL, PAGES * page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
    assert_true(at != MAP_FAILED);
    return at;
}

static unsigned there(char *at)
{
    unsigned char is_there[PAGES];
    unsigned count = 0;
    assert_int_equal(mincore(at, PAGES * page_bytes(), is_there), 0);
    for (unsigned i = 0; i < PAGES; i++) {
        count += is_there[i] & 1U;
    }
    return count;
}

/* Before Linux 5.14 nothing happens, which is as good. */
static void pages_that_begin_there_come(void **state)
{
    (void)state;
    size_t page = page_bytes();
    char *at = mapped();
    at[0] = 'a';
    pages_ready(at + 1, 3 * page); /* the second to the fourth */
    assert_true(there(at) == 4 || there(at) == 1);
    assert_int_equal(at[0], 'a');
    at[2 * page] = 'b';
    pages_ready(at, PAGES * page);
    assert_true(there(at) == PAGES || there(at) == 2);
    assert_int_equal(at[0], 'a');
    assert_int_equal(at[2 * page], 'b');
    munmap(at, PAGES * page);
}

static void none_begins_there(void **state)
{
    (void)state;
    char *at = mapped();
    pages_ready(at + 1, page_bytes() - 1);
    pages_ready(at, 0);
    assert_int_equal(there(at), 0);
    munmap(at, PAGES * page_bytes());
}

static void what_cannot_be_is_no_error(void **state)
{
    (void)state;
    char *at = mapped();
    munmap(at, PAGES * page_bytes());
    errno = 5;
    pages_ready(at, page_bytes()); /* is nobody's */
    assert_int_equal(errno, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_begin_there_come),
        cmocka_unit_test(none_begins_there),
        cmocka_unit_test(what_cannot_be_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
