/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/pace.h"

#define IDLE_LOOKS (1000U / PACE_LOOK_MS)

uint32_t pace_look(struct pace *pace, uint32_t strain, uint64_t ended)
{
    uint64_t left = ended - pace->ended;
    bool was_on = pace->is_on;
    pace->ended = ended;
    pace->is_on = strain >= (was_on ? PACE_ENDS : PACE_BEGINS);
    if (!pace->is_on) {
        pace->idle_looks = 0;
        return PACE_ALL;
    }
    if (!was_on) {
        return 0; /* those who left before this began made room for those who came then */
    }
    pace->idle_looks = left > 0 ? 0 : pace->idle_looks + 1;
    if (pace->idle_looks >= IDLE_LOOKS) {
        pace->idle_looks = 0;
        return 1;
    }
    return left < PACE_ALL ? (uint32_t)left : PACE_ALL - 1;
}
