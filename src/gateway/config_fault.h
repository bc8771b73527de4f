/* SPDX-License-Identifier: Apache-2.0
 *
 * config_fault.h - what is wrong with a configuration, collected until all of it is known.
 */
#pragma once
#include "gateway/config.h"

struct config_memory;

/* A place in a file. Line 0: no place in particular. */
struct config_place {
    const char *file;
    uint32_t line, column;
};

#define CONFIG_FAULTS_MAX 100 /* more are counted, not kept */

void config_faults_init(struct config_faults *faults, const struct config_memory *memory);
/* There is no memory for what is being read, or for what is wrong with it: that alone is said.
 * `file` outlives the faults. */
void config_faults_short(struct config_faults *faults, const char *file);
__attribute__((format(printf, 3, 4))) void config_error(struct config_faults *faults,
                                                        struct config_place place,
                                                        const char *format, ...);
__attribute__((format(printf, 3, 4))) void config_advise(struct config_faults *faults,
                                                         struct config_place place,
                                                         const char *format, ...);
void config_faults_sort(struct config_faults *faults); /* by position, files in order of reading */
