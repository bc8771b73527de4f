/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check.h - what no option can know alone: names that must exist, numbers that do not fit
 * together, routes that nothing reaches.
 */
#pragma once
#include "gateway/config_fault.h"
#include "gateway/config_places.h"

/* Finds each route's upstream, and notes errors and advice. Files that it names are only looked at
 * with `opens_files`. */
void config_check(struct config *config, const struct config_places *places, bool opens_files,
                  struct config_faults *faults);
