/* SPDX-License-Identifier: Apache-2.0
 *
 * handover.h - the sessions of a process that another one takes over from.
 *
 *     this one     sessions_lend ─▶ sessions_copy_to ─▶ … each change is told …
 *                       └─ sessions_take_back: it came to nothing
 *     the other    opens the journal, or sessions_copy_from ─▶ sessions_hear, each change
 *
 * The journal has one owner. Whoever lends it writes nothing more to it; all that it is asked still
 * holds here, and is told to a follower, who brings it to the other process. Taken back, the
 * journal is written anew from what is in memory. Sessions without a journal are copied, with the
 * secret that ids are made with.
 *
 * Times are of the system's monotonic clock, which both processes share.
 */
#pragma once
#include "session/sessions.h"

/* What changes, as a frame (proto/session_record.h, salt and serial 0). Any thread, with a lock
 * held: quick, and calls nothing of the sessions'. */
struct sessions_follower {
    void (*frame)(void *self, const char *bytes, size_t len);
    void *self;
};

/* The follower outlives the sessions, or sessions_take_back(). WEIR_EIO: the journal has not got
 * all that there is, and is kept. Blocks for as long as the disk does. */
weir_err sessions_lend(weir_sessions *sessions, const struct sessions_follower *follower);
void sessions_take_back(weir_sessions *sessions);

bool sessions_have_journal(const weir_sessions *sessions);
/* All of them, into an empty file. 0 or -errno. */
int sessions_copy_to(weir_sessions *sessions, int fd);
/* What that has written; before anybody asks for one. With `keeps_secret` ids are made as they were
 * here. 0, or -errno: -EINVAL: it is no such file. */
int sessions_copy_from(weir_sessions *sessions, int fd, bool keeps_secret);
/* Frames that a follower was told: what is later than what is known here holds from now on. False:
 * not all of it was understood. */
bool sessions_hear(weir_sessions *sessions, const char *bytes, size_t len);
