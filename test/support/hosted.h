/* SPDX-License-Identifier: Apache-2.0
 *
 * hosted.h - for tests that refuse memory: a small runtime in the test's own thread, whose
 * allocations are the test's.
 */
#pragma once
#include <weir/runtime.h>

#include "support/unit.h"

static inline weir_err hosted_open(const struct alloc *alloc, weir_runtime **ret_runtime)
{
    weir_runtime_options opt = {.conns_max = 16,
                                .waiting_max = 8,
                                .keys_max = 8,
                                .posts_max = 16,
                                .seed = 1,
                                .allocator = unit_allocator(alloc)};
    return weir_runtime_open_hosted(&opt, ret_runtime);
}
