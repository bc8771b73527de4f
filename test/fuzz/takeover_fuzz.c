/* SPDX-License-Identifier: Apache-2.0
 *
 * takeover_fuzz.c - any bytes as a message between two processes of which one takes over: refused,
 * or a message that is written back as the same bytes.
 */
#include "proto/takeover.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct takeover_message message;
    char again[TAKEOVER_MAX];
    char *bytes = malloc(size > 0 ? size : 1); /* ends where it ends: an over-read shows */
    if (bytes == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    if (takeover_read(bytes, size, &message) == TAKEOVER_GOOD) {
        check(message.text.len <= TAKEOVER_RECORDS_MAX);
        check(takeover_write(&message, again) == size);
        check(memcmp(again, bytes, size) == 0);
    }
    free(bytes);
    return 0;
}
