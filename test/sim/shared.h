/* SPDX-License-Identifier: Apache-2.0
 *
 * shared.h - worlds in which several engines share one limit.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs the shared world of a seed; false with the fault, at step *ret_steps. */
bool shared_run(uint64_t seed, uint64_t steps, uint64_t *ret_steps, char *ret_fault, size_t size);
