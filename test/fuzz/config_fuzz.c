/* SPDX-License-Identifier: Apache-2.0
 *
 * config_fuzz.c - any text as a configuration: it is refused with a fault that has a place, or it
 * becomes a snapshot whose dump is a configuration, too, that dumps as the same.
 */
#include "gateway/config.h"

#include "base/check.h"
#include "gateway/config_dump.h"

#include <stdint.h>
#include <string.h>

#define DUMP_MAX (16U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A secret dumps as "***", which is a secret of its own: dumps agree all the same. */
static void dump_again(const struct config *config)
{
    struct bytes first, second;
    struct config_faults faults;
    bytes_init(&first, &alloc_libc, DUMP_MAX);
    bytes_init(&second, &alloc_libc, DUMP_MAX);
    config_dump_yaml(config, &first);
    if (bytes_len(&first)
        > DUMP_MAX / 32) { /* a file may be 1 MiB; its aliases may stand for more */
        bytes_fini(&first);
        return;
    }
    struct config *again = config_read_text("dump", bytes_at(&first), bytes_len(&first), &faults);
    check(again != NULL);
    config_dump_yaml(again, &second);
    check(bytes_len(&first) == bytes_len(&second));
    check(memcmp(bytes_at(&first), bytes_at(&second), bytes_len(&first)) == 0);
    config_free(again);
    config_faults_free(&faults);
    bytes_fini(&first);
    bytes_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_faults faults;
    struct config *config = config_read_text("fuzz", (const char *)data, size, &faults);
    check((config == NULL) == (faults.errors > 0));
    for (uint32_t i = 0; i < faults.count; i++)
        check(faults.at[i].text[0] != '\0' && strchr(faults.at[i].text, '\n') == NULL);
    if (config != NULL)
        dump_again(config);
    config_free(config);
    config_faults_free(&faults);
    return 0;
}
