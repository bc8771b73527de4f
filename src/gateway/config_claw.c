/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_claw.h"

struct config_claw config_claw_of(const struct config_upstream *upstream, uint32_t account)
{
    struct config_claw claw = {.token = upstream->openclaw.token,
                               .password = upstream->openclaw.password,
                               .identity = upstream->openclaw.identity};
    if (upstream->accounts.count == 0)
        return claw;
    const struct config_account *own = &upstream->accounts.at[account];
    if (own->openclaw.token[0] != '\0' || own->openclaw.password[0] != '\0') {
        claw.token = own->openclaw.token;
        claw.password = own->openclaw.password;
    }
    if (own->openclaw.identity[0] != '\0')
        claw.identity = own->openclaw.identity;
    return claw;
}
