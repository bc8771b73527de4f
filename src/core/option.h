/* SPDX-License-Identifier: Apache-2.0
 *
 * option.h - the options of a pool, from what a caller wrote to what the core obeys.
 *
 * A caller's struct has zeroes for defaults and WEIR_NONE for zeroes; the core's has every field
 * filled in and WEIR_NONE turned into 0. WEIR_NEVER and WEIR_UNLIMITED are the largest number in
 * both.
 */
#pragma once
#include <weir/weir.h>

/* Fills the defaults in and checks ranges. WEIR_EINVAL: *ret_fault is the word of the field. */
weir_err option_resolve(const weir_pool_options *opt, weir_pool_options *ret_opt,
                        const char **ret_fault);

/* The way back: what a caller may read, change and hand in again. */
void option_show(const weir_pool_options *resolved, weir_pool_options *ret_opt);

/* Two resolved ones, apart from name and connector. */
bool option_is_same(const weir_pool_options *a, const weir_pool_options *b);
