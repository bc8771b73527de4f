/* SPDX-License-Identifier: Apache-2.0 */
#include "session/book.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "io/append.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define NAME        "sessions.journal"
#define NAME_NEW    "sessions.journal.new"
#define NAME_SECRET "secret"
#define NAME_ORIGIN "origin"
#define MAGIC       "weirsj1\n"
#define HALF        ((size_t)16) /* magic, salt, checksum */
#define HEAD        (2 * HALF)
#define COPY_SIZE   (64U << 10)

/* A file, and where in its frames it is. */
struct pen {
    struct append file;
    uint32_t salt;
    uint64_t serial; /* of the next frame */
};

struct book {
    pthread_mutex_t mutex;
    pthread_cond_t synced_more;
    const struct alloc *alloc;
    struct append_folder folder;
    enum book_fsync fsync;
    struct pen pen;
    struct book_count count;
    uint64_t written, synced; /* bytes, in all files there have been */
    uint64_t grown_from;      /* size when it was last written anew */
    bool is_syncing;          /* somebody is inside fdatasync(), without the lock */
    /* While it is written anew. */
    bool is_rewriting, is_new_broken;
    bool is_lent; /* to another process: nothing is written */
    struct pen new_pen;
    size_t copy_len;
    char copy[COPY_SIZE + BOOK_TOGETHER * SESSION_FRAME_MAX];
    char frames[BOOK_TOGETHER * SESSION_FRAME_MAX];
};

static void lock(struct book *book)
{
    pthread_mutex_lock(&book->mutex);
}

static void unlock(struct book *book)
{
    pthread_mutex_unlock(&book->mutex);
}

/* --- the head -----------------------------------------------------------------------------------
 */

static void head_write(uint32_t salt, char ret_head[HEAD])
{
    memcpy(ret_head, MAGIC, 8);
    memcpy(ret_head + 8, &salt, 4);
    uint32_t sum = crc32c(0, ret_head, 12);
    memcpy(ret_head + 12, &sum, 4);
    memcpy(ret_head + HALF, ret_head, HALF);
}

static bool head_read(const char *bytes, size_t len, uint32_t *ret_salt)
{
    for (size_t at = 0; at + HALF <= len && at < HEAD; at += HALF) {
        uint32_t sum;
        memcpy(&sum, bytes + at + 12, 4);
        if (memcmp(bytes + at, MAGIC, 8) == 0 && crc32c(0, bytes + at, 12) == sum) {
            memcpy(ret_salt, bytes + at + 8, 4);
            return true;
        }
    }
    return false;
}

/* An empty file with its head and the time. */
static int pen_begin(const struct append_folder *folder, const char *name, struct book_time now,
                     uint32_t salt, struct pen *ret_pen)
{
    char bytes[HEAD + SESSION_FRAME_MAX];
    struct pen pen = {.salt = salt};
    const struct session_record clock = {
        .kind = SESSION_CLOCK, .mono_ms = now.mono_ms, .wall_ms = now.wall_ms, .boot = now.boot};
    int error = append_open(folder, name, true, &pen.file);
    if (error != 0) {
        return error;
    }
    head_write(salt, bytes);
    size_t len = HEAD + session_record_write(&clock, salt, pen.serial++, bytes + HEAD);
    error = append_write(&pen.file, bytes, len);
    if (error != 0) {
        append_close(&pen.file);
        return error;
    }
    *ret_pen = pen;
    return 0;
}

/* --- reading ------------------------------------------------------------------------------------
 */

struct reading {
    struct book_time now;
    uint64_t shift;    /* from the file's time to ours, modulo 2^64 */
    uint64_t ahead_ms; /* of another boot: how far it would lie in the future */
    bool is_same_boot;
    book_heard_fn *heard;
    void *self;
};

static void hear_clock(struct reading *reading, const struct session_record *record)
{
    const struct book_time *now = &reading->now;
    reading->is_same_boot = !session_id_is_none(record->boot)
                            && session_id_same(record->boot, now->boot)
                            && record->mono_ms <= now->mono_ms;
    reading->shift = reading->is_same_boot
                         ? 0
                         : now->mono_ms - now->wall_ms + record->wall_ms - record->mono_ms;
}

static uint64_t moved(const struct reading *reading, uint64_t file_ms)
{
    uint64_t back = reading->is_same_boot ? 0 : reading->ahead_ms;
    uint64_t shift = reading->shift - back;
    uint64_t sum = file_ms + shift;
    if ((shift >> 63) != 0) {
        return sum > file_ms ? 0 : sum; /* before time began */
    }
    return sum < file_ms ? UINT64_MAX : sum;
}

static void measure(struct reading *reading, const struct session_record *record)
{
    uint64_t file_ms = record->kind == SESSION_CLOCK ? record->mono_ms : record->active_ms;
    if (record->kind == SESSION_CLOCK) {
        hear_clock(reading, record);
    }
    if (reading->is_same_boot || file_ms == 0) {
        return;
    }
    uint64_t ahead_ms = reading->ahead_ms;
    reading->ahead_ms = 0;
    uint64_t ours_ms = moved(reading, file_ms);
    reading->ahead_ms = ahead_ms;
    if (ours_ms > reading->now.mono_ms && ours_ms - reading->now.mono_ms > ahead_ms) {
        reading->ahead_ms = ours_ms - reading->now.mono_ms;
    }
}

static void tell(struct reading *reading, const struct session_record *record)
{
    if (record->kind == SESSION_CLOCK) {
        hear_clock(reading, record);
        return;
    }
    struct session_record ours = *record;
    ours.created_ms = moved(reading, record->created_ms);
    ours.active_ms = moved(reading, record->active_ms);
    ours.expires_ms = moved(reading, record->expires_ms);
    ours.bound_until_ms = record->bound_until_ms > 0 ? moved(reading, record->bound_until_ms) : 0;
    reading->heard(reading->self, &ours);
}

/* Where the sound frames end. */
static size_t read_frames(const char *bytes, size_t len, struct pen *pen, struct reading *reading,
                          void (*each)(struct reading *, const struct session_record *))
{
    struct session_record record;
    size_t at = HEAD, took;
    pen->serial = 0;
    while (at < len
           && (took = session_record_read(bytes + at, len - at, pen->salt, pen->serial, &record))
                  > 0) {
        each(reading, &record);
        at += took;
        pen->serial++;
    }
    return at;
}

static int read_all(struct book *book, const struct book_options *opt, book_heard_fn *heard,
                    void *self)
{
    const char *bytes;
    size_t len = (size_t)book->pen.file.size;
    struct reading reading = {.now = opt->now, .heard = heard, .self = self};
    int error = append_map(&book->pen.file, &bytes);
    if (error != 0 || bytes == NULL) {
        return error;
    }
    size_t end = 0;
    if (len >= HEAD && head_read(bytes, len, &book->pen.salt)) {
        read_frames(bytes, len, &book->pen, &reading, measure);
        end = read_frames(bytes, len, &book->pen, &reading, tell);
    }
    append_unmap(&book->pen.file, bytes);
    book->count.read = book->pen.serial;
    book->count.cut = len - end;
    return book->count.cut > 0 ? append_cut(&book->pen.file, end) : 0;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static int open_file(struct book *book, const struct book_options *opt, book_heard_fn *heard,
                     void *self)
{
    append_remove(&book->folder, NAME_NEW); /* of a rewriting that did not come to its end */
    int error = append_open(&book->folder, NAME, false, &book->pen.file);
    if (error != 0) {
        return error;
    }
    error = read_all(book, opt, heard, self);
    if (error == 0 && book->pen.file.size == 0) {
        append_close(&book->pen.file);
        error = pen_begin(&book->folder, NAME, opt->now, opt->salt, &book->pen);
        if (error == 0) {
            error = append_sync(&book->pen.file);
        }
    } else if (error == 0) {
        book_tell_time(book, opt->now);
    }
    if (error != 0 && book->pen.file.fd >= 0) {
        append_close(&book->pen.file);
    }
    return error;
}

weir_err book_open(const struct book_options *opt, book_heard_fn *heard, void *self,
                   struct book **ret_book)
{
    const struct alloc *alloc = opt->alloc != NULL ? opt->alloc : &alloc_libc;
    struct book *book = alloc_zeroed(alloc, sizeof *book);
    if (book == NULL) {
        return WEIR_ENOMEM;
    }
    book->alloc = alloc;
    book->fsync = opt->fsync;
    pthread_mutex_init(&book->mutex, NULL);
    pthread_cond_init(&book->synced_more, NULL);
    int error = append_folder_open(opt->path, &book->folder);
    if (error == 0) {
        error = open_file(book, opt, heard, self);
        if (error != 0) {
            append_folder_close(&book->folder);
        }
    }
    if (error != 0) {
        pthread_cond_destroy(&book->synced_more);
        pthread_mutex_destroy(&book->mutex);
        alloc_free(alloc, book);
        errno = -error;
        return error == -EBUSY ? WEIR_EEXISTS : WEIR_EIO;
    }
    book->grown_from = book->pen.file.size;
    *ret_book = book;
    return WEIR_OK;
}

void book_close(struct book *take_book)
{
    book_sync(take_book);
    if (take_book->is_rewriting) {
        append_close(&take_book->new_pen.file);
        append_remove(&take_book->folder, NAME_NEW);
    }
    append_close(&take_book->pen.file);
    append_folder_close(&take_book->folder);
    pthread_cond_destroy(&take_book->synced_more);
    pthread_mutex_destroy(&take_book->mutex);
    alloc_free(take_book->alloc, take_book);
}

static weir_err kept_beside(const struct book *book, const char *name, void *bytes, size_t len)
{
    int error = append_write_small(&book->folder, name, bytes, len);
    if (error == -EEXIST) {
        error = append_read_small(&book->folder, name, bytes, len);
    }
    errno = -error;
    return error == 0 ? WEIR_OK : WEIR_EIO;
}

weir_err book_secret(const struct book *book, void *bytes, size_t len)
{
    return kept_beside(book, NAME_SECRET, bytes, len);
}

weir_err book_origin(const struct book *book, uint64_t *origin)
{
    return kept_beside(book, NAME_ORIGIN, origin, sizeof *origin);
}

struct session_id book_boot(void)
{
    char text[37];
    uint64_t words[2] = {0, 0};
    unsigned digits = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof text) : 0;
    if (fd >= 0) {
        close(fd);
    }
    for (ssize_t i = 0; i < len && digits < 32; i++) {
        uint64_t value;
        if (text_parse_hex((struct slice){text + i, 1}, &value)) {
            words[digits / 16] = words[digits / 16] << 4 | value;
            digits++;
        }
    }
    return (struct session_id){words[0], words[1]};
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* Locked. */
static void fail(struct book *book)
{
    book->count.failures++;
    book->count.is_broken = true;
}

static void copy_flush(struct book *book)
{
    if (!book->is_new_broken && book->copy_len > 0) {
        book->is_new_broken = append_write(&book->new_pen.file, book->copy, book->copy_len) != 0;
    }
    book->copy_len = 0;
}

static void copy_one(struct book *book, const struct session_record *record)
{
    if (book->copy_len > COPY_SIZE) {
        copy_flush(book);
    }
    book->copy_len += session_record_write(record, book->new_pen.salt, book->new_pen.serial++,
                                           book->copy + book->copy_len);
}

/* Locked. */
static weir_err write_frames(struct book *book, const struct session_record *records,
                             unsigned count)
{
    size_t len = 0;
    if (book->is_lent) {
        return WEIR_OK;
    }
    if (book->count.is_broken) {
        return WEIR_EIO;
    }
    for (unsigned i = 0; i < count; i++) {
        len += session_record_write(&records[i], book->pen.salt, book->pen.serial + i,
                                    book->frames + len);
    }
    if (append_write(&book->pen.file, book->frames, len) != 0) {
        fail(book);
        return WEIR_EIO;
    }
    book->pen.serial += count;
    book->count.written += count;
    book->written += len;
    return WEIR_OK;
}

weir_err book_write(struct book *book, const struct session_record *records, unsigned count,
                    uint64_t *ret_place)
{
    check(count <= BOOK_TOGETHER);
    lock(book);
    weir_err err = write_frames(book, records, count);
    for (unsigned i = 0; book->is_rewriting && i < count; i++) {
        copy_one(book, &records[i]);
    }
    *ret_place = book->written;
    unlock(book);
    return err;
}

void book_tell_time(struct book *book, struct book_time now)
{
    uint64_t place;
    const struct session_record clock = {
        .kind = SESSION_CLOCK, .mono_ms = now.mono_ms, .wall_ms = now.wall_ms, .boot = now.boot};
    book_write(book, &clock, 1, &place);
}

/* --- reaching the disk --------------------------------------------------------------------------
 */

/* Locked; given away meanwhile. One is inside at a time, and serves all who came before it began.
 */
static void sync_once(struct book *book)
{
    uint64_t upto = book->written;
    book->is_syncing = true;
    unlock(book);
    int error = append_sync(&book->pen.file);
    lock(book);
    book->is_syncing = false;
    book->count.syncs++;
    if (error != 0) {
        fail(book); /* what was not synced may never be, whatever the next call says */
    } else if (upto > book->synced) {
        book->synced = upto;
    }
    pthread_cond_broadcast(&book->synced_more);
}

weir_err book_wait(struct book *book, uint64_t place)
{
    lock(book);
    while (book->synced < place && !book->count.is_broken) {
        if (book->is_syncing) {
            pthread_cond_wait(&book->synced_more, &book->mutex);
        } else {
            sync_once(book);
        }
    }
    weir_err err = book->synced >= place ? WEIR_OK : WEIR_EIO;
    unlock(book);
    return err;
}

weir_err book_sync(struct book *book)
{
    lock(book);
    uint64_t place = book->written;
    unlock(book);
    return book_wait(book, place);
}

bool book_is_behind(struct book *book)
{
    lock(book);
    bool is_behind = book->fsync != BOOK_NEVER && !book->count.is_broken
                     && book->synced < book->written;
    unlock(book);
    return is_behind;
}

/* --- writing it anew ----------------------------------------------------------------------------
 */

bool book_wants_rewriting(struct book *book)
{
    lock(book);
    uint64_t size = book->pen.file.size;
    bool wants = book->count.is_broken
                 || (size > BOOK_GROWN && size > BOOK_GROWTH * book->grown_from);
    unlock(book);
    return wants;
}

weir_err book_rewrite_begin(struct book *book, struct book_time now, uint32_t salt)
{
    lock(book);
    check(!book->is_rewriting);
    int error = pen_begin(&book->folder, NAME_NEW, now, salt, &book->new_pen);
    book->is_rewriting = error == 0;
    book->is_new_broken = false;
    book->copy_len = 0;
    unlock(book);
    return error == 0 ? WEIR_OK : WEIR_EIO;
}

void book_copy(struct book *book, const struct session_record *record)
{
    lock(book);
    copy_one(book, record);
    unlock(book);
}

/* Locked. The new file is the file. */
static void turn_page(struct book *book)
{
    append_close(&book->pen.file);
    book->pen = book->new_pen;
    book->grown_from = book->pen.file.size;
    book->count.is_broken = false;
    book->count.rewrites++;
    book->synced = book->written;
    pthread_cond_broadcast(&book->synced_more);
}

weir_err book_rewrite_end(struct book *book)
{
    lock(book);
    check(book->is_rewriting);
    while (book->is_syncing) {
        pthread_cond_wait(&book->synced_more, &book->mutex);
    }
    copy_flush(book);
    /* Under the lock: what is written meanwhile has to be in it. Most of it is on the disk. */
    bool is_fine = !book->is_new_broken && append_sync(&book->new_pen.file) == 0
                   && append_rename(&book->folder, NAME_NEW, NAME) == 0;
    book->is_rewriting = false;
    if (is_fine) {
        turn_page(book);
    } else {
        append_close(&book->new_pen.file);
        append_remove(&book->folder, NAME_NEW);
        book->count.failures++;
    }
    unlock(book);
    return is_fine ? WEIR_OK : WEIR_EIO;
}

/* --- another process's --------------------------------------------------------------------------
 */

weir_err book_lend(struct book *book)
{
    weir_err err = book_sync(book);
    lock(book);
    check(!book->is_rewriting);
    while (book->is_syncing) {
        pthread_cond_wait(&book->synced_more, &book->mutex);
    }
    if (book->count.is_broken) {
        err = WEIR_EIO;
    }
    if (err == WEIR_OK) {
        book->is_lent = true;
        book->synced = book->written;
        append_folder_unlock(&book->folder);
    }
    unlock(book);
    return err;
}

bool book_take_back(struct book *book)
{
    lock(book);
    if (book->is_lent && append_folder_lock(&book->folder) == 0) {
        book->is_lent = false;
        book->count.is_broken = true;
    }
    bool is_ours = !book->is_lent;
    unlock(book);
    return is_ours;
}

struct book_count book_count(struct book *book)
{
    lock(book);
    struct book_count count = book->count;
    count.bytes = book->pen.file.size;
    unlock(book);
    return count;
}
