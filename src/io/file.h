/* SPDX-License-Identifier: Apache-2.0
 *
 * file.h - whole small files: configuration, certificates, secrets. Blocking: for start and reload.
 */
#pragma once
#include "base/alloc.h"

#include <stddef.h>

/* Reads all of it, and a NUL behind it, into memory of `alloc`'s (NULL: libc). -EFBIG where it is
 * longer than max; -EISDIR and the like from the system. 0 or -errno. */
int file_read(const char *path, size_t max, const struct alloc *alloc, char **ret_text,
              size_t *ret_len);
