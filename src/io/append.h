/* SPDX-License-Identifier: Apache-2.0
 *
 * append.h - files that only grow, in a folder that is nobody else's.
 *
 * Files are 0600 and the folder is 0700 and locked for as long as it is open: there is one writer.
 * An append is all or nothing: what a full disk took of it is cut off again. All of this blocks,
 * and append_sync() for as long as the disk likes: not for the thread of a loop.
 *
 * Every function that returns an int: 0 or -errno.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct append_folder {
    int fd;
};

/* Makes it, if its parent is there. -EPERM: it is another user's, or open to others, or no folder;
 * -EBUSY: another process has it open. */
int append_folder_open(const char *path, struct append_folder *ret_folder);
void append_folder_close(struct append_folder *folder);
/* Another process may open it meanwhile. -EBUSY: one has. */
void append_folder_unlock(const struct append_folder *folder);
int append_folder_lock(const struct append_folder *folder);

struct append {
    int fd;
    uint64_t size;
};

/* Makes it where it is not there. is_new: empty, whatever was there. */
int append_open(const struct append_folder *folder, const char *name, bool is_new,
                struct append *ret_file);
/* A file without a name, in memory, that another process can be given. */
int append_memory(const char *name, struct append *ret_file);
/* Nothing of it changes any more. */
int append_seal(const struct append *file);
/* Seals one that was written without an error, which is returned else, and gives its descriptor
 * away; what fails is closed. */
int append_give(struct append *take_file, int error, int *ret_fd);
/* One that is open, as it is. */
int append_of(int fd, struct append *ret_file);
void append_close(struct append *file);
int append_write(struct append *file, const void *bytes, size_t len);
/* On the disk, with its length. */
int append_sync(const struct append *file);
int append_cut(struct append *file, uint64_t size);

/* The first len bytes of it, copied. -EIO: it has not got as many. */
int append_read(const struct append *file, void *ret, size_t len);
/* All of it, to be read; NULL of an empty one. */
int append_map(const struct append *file, const char **ret_bytes);
void append_unmap(const struct append *file, const char *bytes);

/* `from` is called `to` from now on, also after a crash. */
int append_rename(const struct append_folder *folder, const char *from, const char *to);
int append_remove(const struct append_folder *folder, const char *name);
/* Exactly len bytes of a small file; -ENOENT, -EIO: it has another length. */
int append_read_small(const struct append_folder *folder, const char *name, void *ret, size_t len);
/* Writes a small file that was not there, whole or not at all. -EEXIST. */
int append_write_small(const struct append_folder *folder, const char *name, const void *bytes,
                       size_t len);
