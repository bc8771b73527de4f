/* SPDX-License-Identifier: Apache-2.0
 *
 * rate_limit_fuzz.c - lines of "name: value", any bytes: every time is within its bounds, and read
 * again it is the same.
 */
#include "proto/rate_limit.h"

#include "base/check.h"

#define FIELDS_MAX 32U
#define NOW_MS     UINT64_C(1795293000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field fields[FIELDS_MAX];
    struct http_head head = {.status = 429, .fields = fields};
    if (size > UINT32_MAX) {
        return 0;
    }
    struct slice rest = {(const char *)data, (uint32_t)size}, line;
    while (head.field_count < FIELDS_MAX && slice_split(&rest, '\n', &line)) {
        uint32_t colon = slice_find(line, ':');
        struct slice name = slice_sub(line, 0, colon);
        fields[head.field_count++] =
            (struct http_field){.name = name,
                                .value = slice_trim(slice_sub(line, colon + 1, line.len)),
                                .id = (uint8_t)http_field_id_of(name)};
    }
    struct rate_limit limit, again;
    rate_limit_read(&head, NOW_MS, &limit);
    rate_limit_read(&head, NOW_MS, &again);
    check(limit.reset_ms <= RATE_LIMIT_MAX_MS && limit.retry_after_ms <= RATE_LIMIT_MAX_MS);
    check(limit.has_reset == again.has_reset && limit.reset_ms == again.reset_ms);
    check(limit.has_retry_after == again.has_retry_after);
    struct slice family = rate_limit_family((struct slice){(const char *)data, (uint32_t)size});
    check(family.len <= size);
    return 0;
}
