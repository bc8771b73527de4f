/* SPDX-License-Identifier: Apache-2.0
 *
 * uncounted.h - what counting costs: with WEIR_UNCOUNTED defined nothing is counted, and
 * `bench/bench.py --only metrics` sets such a program beside the one that is shipped.
 */
#pragma once

#ifdef WEIR_UNCOUNTED
#    define IS_COUNTED 0
#else
#    define IS_COUNTED 1
#endif
