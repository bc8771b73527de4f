/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc_health_fuzz.c - a body of any bytes as a question about health: what it names lies within.
 */
#include "proto/grpc_health.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *body = calloc(1, size > 0 ? size : 1); /* ends where it ends: an over-read shows */
    struct slice service;
    if (body == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(body, data, size);
    }
    if (grpc_health_read(body, size, &service)) {
        check(size >= GRPC_PREFIX && service.len <= size - GRPC_PREFIX);
        check(service.len == 0 || (service.at >= body && service.at + service.len <= body + size));
    }
    free(body);
    return 0;
}
