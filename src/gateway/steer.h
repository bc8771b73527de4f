/* SPDX-License-Identifier: Apache-2.0
 *
 * steer.h - what an operator has said of an upstream: that its requests wait, and which endpoints
 * get no new ones. One for each upstream; the admin interface writes it, every worker reads it with
 * each request.
 */
#pragma once
#include "gateway/wait_line.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* name, word */
#define STEER_MODES(ROW)                                                                           \
    ROW(READY, "ready") /* as the configuration says */                                            \
    ROW(DRAIN, "drain") /* no new requests; what is open goes on, and it is still checked */       \
    ROW(MAINT,                                                                                     \
        "maint") /* the same, but what is open is cut after a while, and nothing is checked */

enum steer_mode {
#define STEER_ROW(name, word) STEER_##name,
    STEER_MODES(STEER_ROW)
#undef STEER_ROW
        STEER_MODES_COUNT
};
const char *steer_word(enum steer_mode mode);
/* False: it is none. */
bool steer_mode_of(const char *word, enum steer_mode *ret_mode);

/* That an upstream of this name is paused is one, whatever the configuration: who has waited since
 * before a reload goes on when it ends, too. */
struct steer_pause {
    uint32_t users; /* on the hub's thread */
    _Atomic bool is_on;
    struct wait_hall hall; /* requests that wait for its end */
};

struct steer {
    struct steer_pause *pause;
    uint8_t *modes; /* enum steer_mode of each endpoint; read and written atomically */
};

/* `elder`: that of the upstream in the configuration before, or NULL. 0 or -ENOMEM. */
int steer_init(struct steer *steer, const struct steer *elder, uint32_t endpoints);
void steer_fini(struct steer *steer); /* all zeroes will do */

static inline bool steer_is_paused(const struct steer *steer)
{
    return atomic_load_explicit(&steer->pause->is_on, memory_order_relaxed);
}

static inline void steer_set_paused(struct steer *steer, bool is_paused)
{
    atomic_store(&steer->pause->is_on, is_paused);
}

static inline enum steer_mode steer_mode(const struct steer *steer, uint32_t endpoint)
{
    return (enum steer_mode)__atomic_load_n(&steer->modes[endpoint], __ATOMIC_RELAXED);
}

static inline void steer_set_mode(struct steer *steer, uint32_t endpoint, enum steer_mode mode)
{
    __atomic_store_n(&steer->modes[endpoint], (uint8_t)mode, __ATOMIC_RELAXED);
}
