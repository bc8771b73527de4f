/* SPDX-License-Identifier: Apache-2.0
 *
 * libraries.h - the libraries of this program and their versions.
 */
#pragma once
#include <stdint.h>

#define LIBRARIES_MAX 8

struct library_version {
    const char *name;
    char built[32], running[32];
};

uint32_t libraries_of(struct library_version ret[static LIBRARIES_MAX]);
