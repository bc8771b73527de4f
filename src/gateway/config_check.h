/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check.h - what no option can know alone: names that must exist, numbers that do not fit
 * together, routes that nothing reaches.
 */
#pragma once
#include "gateway/config_fault.h"

/* Where the values of a snapshot were written, by the address of the field they became. */
struct config_places;

struct config_places *config_places_new(struct config_arena *arena);
void config_places_add(struct config_places *places, const void *field, struct config_place place);
/* Of the latest value that became this field; of the file, if it is a default. */
bool config_places_has(const struct config_places *places, const void *field);
struct config_place config_places_of(const struct config_places *places, const void *field);

/* Finds each route's upstream, and notes errors and advice. Files that it names are only looked at
 * with `opens_files`. */
void config_check(struct config *config, const struct config_places *places, bool opens_files,
                  struct config_faults *faults);
