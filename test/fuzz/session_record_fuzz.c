/* SPDX-License-Identifier: Apache-2.0
 *
 * session_record_fuzz.c - any bytes as a frame of a session: refused, or a record that is written
 * back as the same bytes. The checksum is mended first, so that what lies behind it is reached.
 */
#include "proto/session_record.h"

#include "base/check.h"
#include "base/crc32c.h"

#include <stdlib.h>

#define SALT 7U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session_record record;
    char again[SESSION_FRAME_MAX];
    char *bytes = malloc(size > 0 ? size : 1); /* ends where it ends: an over-read shows */
    if (bytes == NULL) {
        return 0;
    }
    memcpy(bytes, data, size);
    check(session_record_read(bytes, size, SALT, 1, &record) <= size);
    if (size >= SESSION_FRAME_HEAD) {
        uint32_t len = (uint32_t)size;
        memcpy(bytes + 4, &len, 4);
        memcpy(bytes + 8, &(uint64_t){1}, 8);
        uint32_t sum = crc32c(SALT, bytes + 4, size - 4);
        memcpy(bytes, &sum, 4);
        size_t took = session_record_read(bytes, size, SALT, 1, &record);
        if (took > 0) {
            check(took == size);
            check(session_record_write(&record, SALT, 1, again) == size);
            check(memcmp(again, bytes, size) == 0);
        }
    }
    free(bytes);
    return 0;
}
