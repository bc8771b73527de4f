/* SPDX-License-Identifier: Apache-2.0
 *
 * fence.h - what of the file system the process can still reach: Landlock (landlock(7)), which
 * needs no rights of its own and cannot be undone.
 *
 * Posts are set while everything can be seen, by real paths: a symbolic link that leads out of a
 * folder needs a post where it ends. Then the thread that closes the fence and all that it starts
 * afterwards stay inside; descriptors that are open stay so. Programs can be started nowhere.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum fence_right { FENCE_READ, FENCE_WRITE }; /* to write is also to read, make and remove */

struct fence;

struct fence *fence_new(void); /* NULL: no memory */
void fence_free(struct fence *take_fence);

/* A file, or a folder and all that is below; what is not there is passed over. */
void fence_post(struct fence *fence, const char *path, enum fence_right right);
/* The folder that a file lies in, also once it is replaced, and that of what it is a link to. A
 * file in the root, or in /dev, is meant alone. */
void fence_post_around(struct fence *fence, const char *file, enum fence_right right);

/* The version of the kernel's Landlock that is in force from now on, or -errno: -ENOSYS and
 * -EOPNOTSUPP where the kernel has none. */
int fence_close(struct fence *fence);

/* Whether a file of that name could be opened, there or not; true of everything while the fence is
 * open. Blocking. */
bool fence_allows(const struct fence *fence, const char *path, enum fence_right right);
/* Why a file could not be read, where errno was `error`: the process's fence, or what that says.
 * The fence's words are the same for all files. Blocking. */
const char *fence_why(const char *path, int error);
