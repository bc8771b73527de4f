/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts_fuzz.c - a hosts file of any bytes: every name that is asked for gets a bounded answer, or
 * none. The first byte of the input says how long the name is that follows it.
 */
#include "io/hosts.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[UINT8_MAX + 1];
    if (size == 0 || size - 1 < data[0]) {
        return 0;
    }
    size_t name_len = data[0], len = size - 1 - name_len;
    memcpy(name, data + 1, name_len);
    name[name_len] = '\0';
    char *text = malloc(len > 0 ? len : 1); /* ends where it ends: an over-read shows */
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data + 1 + name_len, len);
    struct dns_answer answer = {0};
    bool found = hosts_find(text, len, name, &answer);
    check(answer.count <= DNS_ADDRESSES_MAX && found == (answer.count > 0));
    for (uint32_t i = 0; i < answer.count; i++) {
        check(answer.at[i].family == AF_INET || answer.at[i].family == AF_INET6);
    }
    free(text);
    return 0;
}
