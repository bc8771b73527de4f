/* SPDX-License-Identifier: Apache-2.0
 *
 * fetch.h - memory that will be written to soon, brought into the processor's cache meanwhile.
 *
 * A connection is touched a few microseconds long, and then not until thousands of others have
 * been: each time it is found cold, at some 50 ns for each of its cache lines. Who knows early what
 * comes next asks for all of it at once, and does something else while it comes. It is a hint: any
 * address will do, and nothing is read.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define FETCH_LINE 64U

static inline void fetch(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += FETCH_LINE) {
        __builtin_prefetch((const void *)((uintptr_t)at + i), 1); /* at may be NULL */
    }
}
