/* SPDX-License-Identifier: Apache-2.0
 *
 * basic_fuzz.c - an Authorization field, any bytes: a password lies in the room, and what encodes
 * to the same text decodes to the same bytes (OpenSSL's encoder is asked).
 */
#include "proto/basic.h"

#include "base/check.h"

#include <openssl/evp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void come_back(const uint8_t *data, size_t size)
{
    char text[8 + BASIC_BYTES_MAX / 3 * 4 + 8] = "Basic ", room[BASIC_BYTES_MAX];
    uint8_t pair[BASIC_BYTES_MAX];
    struct slice password;
    size = size < 1024 ? size : 1024;
    memcpy(pair, "u:", 2);
    memcpy(pair + 2, data, size);
    int len = EVP_EncodeBlock((uint8_t *)text + 6, pair, (int)size + 2);
    bool is_one = basic_password((struct slice){text, 6 + (uint32_t)len}, room, &password);
    check(is_one == (memchr(data, 0, size) == NULL));
    check(!is_one || (password.len == size && memcmp(password.at, data, size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char room[BASIC_BYTES_MAX];
    struct slice password;
    if (size == 0 || size > UINT32_MAX) {
        return 0;
    }
    if (basic_password((struct slice){(const char *)data, (uint32_t)size}, room, &password)) {
        check(password.at >= room && password.at + password.len <= room + sizeof room);
    }
    come_back(data, size);
    return 0;
}
