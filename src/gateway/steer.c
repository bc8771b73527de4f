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

static struct steer_pause *pause_join(const struct steer *elder)
{
    struct steer_pause *pause = elder != NULL ? elder->pause
                                              : alloc_zeroed(&alloc_libc, sizeof *pause);
    if (pause != NULL && elder == NULL) {
        wait_hall_init(&pause->hall);
    }
    if (pause != NULL) {
        pause->users++;
    }
    return pause;
}

static void pause_leave(struct steer_pause *pause)
{
    if (pause != NULL && --pause->users == 0) {
        wait_hall_fini(&pause->hall);
        alloc_free(&alloc_libc, pause);
    }
}

int steer_init(struct steer *steer, const struct steer *elder, uint32_t endpoints)
{
    steer->modes = alloc_zeroed(&alloc_libc, endpoints * sizeof *steer->modes);
    steer->pause = pause_join(elder);
    if (steer->modes == NULL || steer->pause == NULL) {
        steer_fini(steer);
        return -ENOMEM;
    }
    return 0;
}

void steer_fini(struct steer *steer)
{
    pause_leave(steer->pause);
    alloc_free(&alloc_libc, steer->modes);
    *steer = (struct steer){0};
}
