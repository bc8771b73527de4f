/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_GUESS 4096U

/* One byte more than max is asked for, so that a longer file shows. */
static int read_all(int fd, size_t max, const struct alloc *alloc, char **text, size_t *len)
{
    size_t size = 0;
    for (*len = 0;;) {
        if (*len == size) {
            if (size > max) {
                return -EFBIG;
            }
            size = size == 0 ? FIRST_GUESS : size * 2;
            size = size > max ? max + 1 : size;
            char *more = alloc_resize(alloc, *text, size + 1);
            if (more == NULL) {
                return -ENOMEM;
            }
            *text = more;
        }
        ssize_t got = read(fd, *text + *len, size - *len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            (*text)[*len] = '\0';
            return *len > max ? -EFBIG : 0;
        }
        *len += (size_t)got;
    }
}

int file_read(const char *path, size_t max, const struct alloc *alloc, char **ret_text,
              size_t *ret_len)
{
    alloc = alloc != NULL ? alloc : &alloc_libc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    char *text = NULL;
    size_t len = 0;
    int error = read_all(fd, max, alloc, &text, &len);
    close(fd);
    if (error != 0) {
        alloc_free(alloc, text);
        return error;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}
