/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mailbox.h"

#include "base/check.h"
#include "base/ring.h"

/* Rings keep their two ends on cache lines of their own, so their array has to begin on one. */
#define LINE 64U

struct mailbox {
    const struct alloc *alloc;
    void *memory;       /* of the rings, before alignment */
    struct spsc *rings; /* [to × parties + from] */
    uint32_t parties;
};

static struct spsc *ring_of(const struct mailbox *mailbox, uint32_t from, uint32_t to)
{
    check(from < mailbox->parties && to < mailbox->parties);
    return &mailbox->rings[(size_t)to * mailbox->parties + from];
}

static bool rings_init(struct mailbox *mailbox)
{
    uint32_t count = mailbox->parties * mailbox->parties;
    mailbox->memory = alloc_zeroed(mailbox->alloc, count * sizeof(struct spsc) + LINE);
    if (mailbox->memory == NULL) {
        return false;
    }
    char *at = mailbox->memory;
    mailbox->rings = (void *)(at + (LINE - (uintptr_t)at % LINE) % LINE);
    for (uint32_t i = 0; i < count; i++) {
        if (!spsc_init(&mailbox->rings[i], mailbox->alloc, sizeof(struct letter),
                       MAILBOX_LETTERS_MAX)) {
            while (i-- > 0) {
                spsc_fini(&mailbox->rings[i]);
            }
            alloc_free(mailbox->alloc, mailbox->memory);
            return false;
        }
    }
    return true;
}

struct mailbox *mailbox_new(const struct alloc *alloc, uint32_t parties)
{
    check(parties > 0 && parties <= MAILBOX_PARTIES_MAX);
    struct mailbox *mailbox = alloc_zeroed(alloc, sizeof *mailbox);
    if (mailbox == NULL) {
        return NULL;
    }
    mailbox->alloc = alloc;
    mailbox->parties = parties;
    if (!rings_init(mailbox)) {
        alloc_free(alloc, mailbox);
        return NULL;
    }
    return mailbox;
}

void mailbox_free(struct mailbox *take_mailbox)
{
    for (uint32_t i = 0; i < take_mailbox->parties * take_mailbox->parties; i++) {
        spsc_fini(&take_mailbox->rings[i]);
    }
    alloc_free(take_mailbox->alloc, take_mailbox->memory);
    alloc_free(take_mailbox->alloc, take_mailbox);
}

bool mailbox_send(struct mailbox *mailbox, uint32_t from, uint32_t to, const struct letter *letter)
{
    return spsc_push(ring_of(mailbox, from, to), letter);
}

uint32_t mailbox_receive(struct mailbox *mailbox, uint32_t to)
{
    uint32_t ran = 0;
    for (uint32_t from = 0; from < mailbox->parties; from++) {
        struct spsc *ring = ring_of(mailbox, from, to);
        struct letter letter;
        for (uint32_t i = 0; i < MAILBOX_LETTERS_MAX && spsc_pop(ring, &letter); i++) {
            letter.run(letter.self, letter.value);
            ran++;
        }
    }
    return ran;
}
