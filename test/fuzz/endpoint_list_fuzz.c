/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint_list_fuzz.c - any bytes as a list of endpoints: it is refused with one line that says
 * why, or each endpoint of it is one that a configuration could have.
 */
#include "gateway/endpoint_list.h"

#include "base/check.h"
#include "gateway/config_arena.h"

#include <stdint.h>
#include <string.h>

#define MOST 32U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_memory memory = {&alloc_libc, CONFIG_ARENA_BLOCK};
    const struct endpoint_list_rules rules = {.scheme = "http", .most = MOST};
    struct config_arena *arena = config_arena_new(&memory);
    struct config_endpoints list = {0};
    char why[ENDPOINT_LIST_WHY_MAX] = "";
    check(arena != NULL && size <= UINT32_MAX);
    bool is_good = endpoint_list_read((struct slice){(const char *)data, (uint32_t)size}, &rules,
                                      arena, &list, why);
    check(is_good == (why[0] == '\0') && strchr(why, '\n') == NULL);
    check(list.count <= MOST);
    for (uint32_t i = 0; i < list.count; i++) {
        const struct config_endpoint *it = &list.at[i];
        check(it->port > 0 && it->weight <= 65535 && it->priority <= 255);
        check(it->host[0] != '\0' && strlen(it->zone) <= 64 && it->name[0] != '\0');
        check(strcmp(it->scheme, "http") == 0 || strcmp(it->scheme, "https") == 0);
        for (uint32_t j = 0; j < i; j++)
            check(it->port != list.at[j].port || strcmp(it->host, list.at[j].host) != 0);
    }
    config_arena_free(arena);
    return 0;
}
