/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.h - letters between threads: one bounded ring for each ordered pair of parties.
 *
 * A letter is a function and what to call it with; it runs on the receiver's thread. A ring has one
 * writer and one reader, so nobody ever waits, and letters of one sender arrive in their order. A
 * full ring is an answer: the sender keeps the matter.
 */
#pragma once
#include "base/alloc.h"

#include <stdbool.h>
#include <stdint.h>

#define MAILBOX_LETTERS_MAX 256U /* in one ring: a burst of accepts for one worker */
#define MAILBOX_PARTIES_MAX 256U

struct letter {
    void (*run)(void *self, uint64_t value);
    void *self;
    uint64_t value;
};

struct mailbox;

/* For parties 0 … parties - 1. NULL where memory is refused. */
struct mailbox *mailbox_new(const struct alloc *alloc, uint32_t parties);
/* Letters still in it are forgotten. */
void mailbox_free(struct mailbox *take_mailbox);

/* On the thread of `from`. False: the ring is full. Waking `to` is the caller's affair. */
bool mailbox_send(struct mailbox *mailbox, uint32_t from, uint32_t to, const struct letter *letter);

/* On the thread of `to`: runs what has arrived, at most one ring's worth from each party, so that
 * letters that write letters cannot keep it for ever. Returns how many ran. */
uint32_t mailbox_receive(struct mailbox *mailbox, uint32_t to);
