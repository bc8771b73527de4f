/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/zone.h"

bool zone_prefer(struct balance_peer *peers, const bool *is_near, uint32_t count, uint32_t except)
{
    uint32_t near = 0, usable = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool takes_part = is_near[i] && peers[i].weight > 0;
        near += is_near[i];
        usable += takes_part && i != except && peers[i].standing == BALANCE_GOOD;
    }
    if (usable == 0 || usable * 2 < near) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        peers[i].weight = is_near[i] ? peers[i].weight : 0;
    }
    return true;
}
