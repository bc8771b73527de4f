/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

void pages_ready(void *at, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = (page - (uintptr_t)at % page) % page;
    if (before < bytes) {
        int why = errno;
        (void)madvise((char *)at + before, bytes - before, MADV_POPULATE_WRITE);
        errno = why; /* it is a hint */
    }
}
