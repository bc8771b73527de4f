/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/steer.h"

#include "base/alloc.h"

#include <errno.h>
#include <string.h>

static const char *const words[STEER_MODES_COUNT] = {
#define STEER_ROW(name, word) word,
    STEER_MODES(STEER_ROW)
#undef STEER_ROW
};

const char *steer_word(enum steer_mode mode)
{
    return words[mode];
}

bool steer_mode_of(const char *word, enum steer_mode *ret_mode)
{
    for (unsigned i = 0; i < STEER_MODES_COUNT; i++) {
        if (strcmp(words[i], word) == 0) {
            *ret_mode = (enum steer_mode)i;
            return true;
        }
    }
    return false;
}

int steer_init(struct steer *steer, uint32_t endpoints)
{
    atomic_init(&steer->paused, false);
    steer->modes = alloc_zeroed(&alloc_libc, endpoints * sizeof *steer->modes);
    if (steer->modes == NULL) {
        return -ENOMEM;
    }
    wait_hall_init(&steer->hall);
    return 0;
}

void steer_fini(struct steer *steer)
{
    if (steer->modes != NULL) {
        wait_hall_fini(&steer->hall);
        alloc_free(&alloc_libc, steer->modes);
        steer->modes = NULL;
    }
}
