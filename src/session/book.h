/* SPDX-License-Identifier: Apache-2.0
 *
 * book.h - the journal: what became of every session, appended to one file, and read once at start.
 *
 *   sessions.journal = head | frame | frame | …        (frames: proto/session_record.h)
 *
 * The head holds the file's salt, twice, so that no single byte of it can be lost. A write has
 * reached the system when it returns: a process that is killed loses nothing of it. When it has
 * reached the disk is a matter of `fsync`: at once (book_wait(): one fdatasync serves all who
 * wait), when the keeper comes by (book_sync()), or when the system likes.
 *
 * Reading ends at the first frame that is not whole and sound; what is behind it is cut off.
 *
 * The file is written anew beside itself and renamed when it has grown enough, or when a write has
 * failed: a book with a gap could raise what has ended, so nothing more is written to it. Meanwhile
 * what happens goes to both. One thread rewrites at a time; whoever holds the lock of a shard may
 * copy and write.
 *
 * Times in the file are monotonic, with the wall clock beside them once in a while: within one boot
 * they are true as they stand, whatever the wall clock does. Over a reboot they are moved by the
 * wall clock; one that was set back never makes a session younger than it was.
 */
#pragma once
#include <weir/weir.h>

#include "base/alloc.h"
#include "proto/session_record.h"

#define BOOK_TOGETHER 4U          /* records of one write */
#define BOOK_GROWN    (16U << 20) /* a file below this is not written anew for its size */
#define BOOK_GROWTH   3U          /* times what it was after it was last written anew */

enum book_fsync { BOOK_SOON, BOOK_ALWAYS, BOOK_NEVER };

struct book_time {
    uint64_t mono_ms, wall_ms;
    struct session_id boot; /* none: unknown, and so another one each time */
};

struct book_options {
    const char *path; /* of the folder */
    enum book_fsync fsync;
    struct book_time now;
    uint32_t salt; /* random */
    const struct alloc *alloc;
};

struct book_count {
    uint64_t bytes;   /* of the file */
    uint64_t read;    /* frames, at start */
    uint64_t cut;     /* bytes, at start: torn, or spoilt */
    uint64_t written; /* frames */
    uint64_t syncs, rewrites, failures;
    bool is_broken; /* nothing is written until it is written anew */
};

struct book;

/* A frame that was read; its times are of `now`'s kind. */
typedef void book_heard_fn(void *self, const struct session_record *record);

/* WEIR_EIO: errno says why; WEIR_EEXISTS: another process has it open; WEIR_ENOMEM. */
weir_err book_open(const struct book_options *opt, book_heard_fn *heard, void *self,
                   struct book **ret_book);
/* What was written is on the disk. */
void book_close(struct book *take_book);

/* In one piece, or not at all; *ret_place is for book_wait(). WEIR_EIO: it is not written. */
weir_err book_write(struct book *book, const struct session_record *records, unsigned count,
                    uint64_t *ret_place);
/* Until that is on the disk. Blocks. WEIR_EIO: it may not be. */
weir_err book_wait(struct book *book, uint64_t place);
/* The same for all that was written; does nothing where nothing was. */
weir_err book_sync(struct book *book);
/* Is there something for book_sync() to do? */
bool book_is_behind(struct book *book);

/* Now and then: what time it is. */
void book_tell_time(struct book *book, struct book_time now);

bool book_wants_rewriting(struct book *book);
/* Between these two every live record and tombstone is copied. WEIR_EIO: all is as it was. */
weir_err book_rewrite_begin(struct book *book, struct book_time now, uint32_t salt);
void book_copy(struct book *book, const struct session_record *record);
weir_err book_rewrite_end(struct book *book);

/* Another process may open it from now on, and finds all that was written. Nothing more is: a write
 * does nothing, and is not missed. It is not being written anew. WEIR_EIO: it is broken, and not
 * lent. */
weir_err book_lend(struct book *book);
/* To be written anew. False: the other process has it still. */
bool book_take_back(struct book *book);

struct book_count book_count(struct book *book);

/* The secret that is kept beside the journal: made of these bytes where there is none. */
weir_err book_secret(const struct book *book, void *bytes, size_t len);
/* The same for the number by which others know who has counted what the journal says. */
weir_err book_origin(const struct book *book, uint64_t *origin);
/* This boot of the system, or none. */
struct session_id book_boot(void);
