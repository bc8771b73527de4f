/* SPDX-License-Identifier: Apache-2.0 */
#include "io/append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_FOLDER 0700
#define MODE_FILE   0600

static int because(int result)
{
    return result < 0 ? -errno : 0;
}

/* --- the folder ---------------------------------------------------------------------------------
 */

static int folder_judge(int fd)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return -errno;
    }
    if (facts.st_uid != geteuid() || (facts.st_mode & 077) != 0) {
        return -EPERM;
    }
    return append_folder_lock(&(struct append_folder){fd});
}

int append_folder_lock(const struct append_folder *folder)
{
    if (flock(folder->fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    }
    return 0;
}

void append_folder_unlock(const struct append_folder *folder)
{
    flock(folder->fd, LOCK_UN);
}

int append_folder_open(const char *path, struct append_folder *ret_folder)
{
    if (mkdir(path, MODE_FOLDER) != 0 && errno != EEXIST) {
        return -errno;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOTDIR ? -EPERM : -errno;
    }
    int error = folder_judge(fd);
    if (error != 0) {
        close(fd);
        return error;
    }
    ret_folder->fd = fd;
    return 0;
}

void append_folder_close(struct append_folder *folder)
{
    close(folder->fd);
    folder->fd = -1;
}

int append_rename(const struct append_folder *folder, const char *from, const char *to)
{
    int error = because(renameat(folder->fd, from, folder->fd, to));
    return error == 0 ? because(fsync(folder->fd)) : error;
}

int append_remove(const struct append_folder *folder, const char *name)
{
    return because(unlinkat(folder->fd, name, 0));
}

/* --- a file -------------------------------------------------------------------------------------
 */

int append_open(const struct append_folder *folder, const char *name, bool is_new,
                struct append *ret_file)
{
    struct stat facts;
    int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (is_new ? O_TRUNC : 0);
    int fd = openat(folder->fd, name, flags, MODE_FILE);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &facts) != 0 || fchmod(fd, MODE_FILE) != 0 || fsync(folder->fd) != 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    *ret_file = (struct append){fd, (uint64_t)facts.st_size};
    return 0;
}

int append_memory(const char *name, struct append *ret_file)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    *ret_file = (struct append){.fd = fd};
    return 0;
}

int append_seal(const struct append *file)
{
    return because(
        fcntl(file->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
}

int append_give(struct append *take_file, int error, int *ret_fd)
{
    if (error == 0) {
        error = append_seal(take_file);
    }
    if (error == 0) {
        *ret_fd = take_file->fd;
    } else {
        append_close(take_file);
    }
    return error;
}

int append_of(int fd, struct append *ret_file)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return -errno;
    }
    *ret_file = (struct append){fd, (uint64_t)facts.st_size};
    return 0;
}

void append_close(struct append *file)
{
    close(file->fd);
    file->fd = -1;
}

int append_write(struct append *file, const void *bytes, size_t len)
{
    const char *at = bytes;
    size_t left = len;
    while (left > 0) {
        ssize_t wrote = write(file->fd, at, left);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            int error = wrote < 0 ? -errno : -ENOSPC;
            if (ftruncate(file->fd, (off_t)file->size) != 0) {
                error = -EIO; /* half an append is left behind; whoever reads it finds its end */
            }
            return error;
        }
        at += wrote;
        left -= (size_t)wrote;
    }
    file->size += len;
    return 0;
}

int append_sync(const struct append *file)
{
    return because(fdatasync(file->fd));
}

int append_cut(struct append *file, uint64_t size)
{
    int error = because(ftruncate(file->fd, (off_t)size));
    file->size = error == 0 ? size : file->size;
    return error;
}

int append_read(const struct append *file, void *ret, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(file->fd, (char *)ret + done, len - done, (off_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -errno : -EIO;
        }
        done += (size_t)got;
    }
    return 0;
}

int append_map(const struct append *file, const char **ret_bytes)
{
    if (file->size == 0) {
        *ret_bytes = NULL;
        return 0;
    }
    /* Private: one that is sealed cannot be mapped as shared before Linux 6.7, not even to be read.
     */
    void *bytes = mmap(NULL, (size_t)file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
    if (bytes == MAP_FAILED) {
        return -errno;
    }
    *ret_bytes = bytes;
    return 0;
}

void append_unmap(const struct append *file, const char *bytes)
{
    if (bytes != NULL) {
        munmap((void *)(uintptr_t)bytes, (size_t)file->size);
    }
}

/* --- small files --------------------------------------------------------------------------------
 */

int append_read_small(const struct append_folder *folder, const char *name, void *ret, size_t len)
{
    char extra;
    int fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    ssize_t got = read(fd, ret, len);
    bool is_whole = got == (ssize_t)len && read(fd, &extra, 1) == 0;
    close(fd);
    return is_whole ? 0 : -EIO;
}

int append_write_small(const struct append_folder *folder, const char *name, const void *bytes,
                       size_t len)
{
    char beside[64];
    struct append file = {.fd = -1};
    if (snprintf(beside, sizeof beside, "%s.new", name) >= (int)sizeof beside) {
        return -ENAMETOOLONG;
    }
    if (faccessat(folder->fd, name, F_OK, 0) == 0) {
        return -EEXIST;
    }
    int error = append_open(folder, beside, true, &file);
    if (error != 0) {
        return error;
    }
    error = append_write(&file, bytes, len);
    error = error == 0 ? append_sync(&file) : error;
    append_close(&file);
    error = error == 0 ? append_rename(folder, beside, name) : error;
    if (error != 0) {
        append_remove(folder, beside);
    }
    return error;
}
