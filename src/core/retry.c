/* SPDX-License-Identifier: Apache-2.0 */
#include "core/retry.h"

#include "base/check.h"

uint64_t retry_delay_ms(const weir_pool_options *opt, uint32_t failures, struct rand *rand)
{
    check(failures > 0);
    uint64_t delay_ms = opt->retry_first_ms;
    for (uint32_t i = 1; i < failures && delay_ms < opt->retry_cap_ms; i++) {
        delay_ms *= opt->retry_factor;
        if (opt->retry_factor == 1) {
            break;
        }
    }
    if (delay_ms > opt->retry_cap_ms) {
        delay_ms = opt->retry_cap_ms;
    }
    delay_ms = rand_jitter(rand, delay_ms, opt->jitter_pct);
    return delay_ms > 0 ? delay_ms : 1; /* what ends now has no timer to end it */
}
