/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <string.h>

/* What four more bits do to a remainder. */
static const uint32_t nibbles[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c_plain(uint32_t before, const void *data, size_t len)
{
    const unsigned char *at = data;
    uint32_t crc = ~before;
    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t before, const void *data,
                                                                 size_t len)
{
    const unsigned char *at = data;
    uint64_t crc = ~before, word;
    for (; len >= 8; len -= 8, at += 8) {
        memcpy(&word, at, 8);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; len > 0; len--) {
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *at++);
    }
    return ~(uint32_t)crc;
}
#endif

uint32_t crc32c(uint32_t before, const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2")) {
        return by_instruction(before, data, len);
    }
#endif
    return crc32c_plain(before, data, len);
}
