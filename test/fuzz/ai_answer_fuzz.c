/* SPDX-License-Identifier: Apache-2.0
 *
 * ai_answer_fuzz.c - an answer of any bytes: read in one piece and in pieces of any size it has the
 * same id, which stands in it as it is.
 */
#include "proto/ai_answer.h"

#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ai_answer whole, parts;
    ai_answer_begin(&whole);
    ai_answer_feed(&whole, data, size);
    for (size_t step = 1; step <= 9; step += 2) {
        ai_answer_begin(&parts);
        for (size_t at = 0; at < size; at += step) {
            ai_answer_feed(&parts, data + at, size - at < step ? size - at : step);
        }
        check(whole.is_found == parts.is_found && whole.state == parts.state);
        check(!whole.is_found || (whole.len == parts.len && strcmp(whole.id, parts.id) == 0));
    }
    if (whole.is_found) {
        check(strlen(whole.id) == whole.len && strncmp(whole.id, "resp_", 5) == 0);
        check(memmem(data, size, whole.id, whole.len) != NULL);
    }
    return 0;
}
