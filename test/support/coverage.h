/* SPDX-License-Identifier: Apache-2.0
 *
 * coverage.h - writes down what was run so far, in a build that counts it. For programs that die of
 * a broken rule: what a mutant has run counts too.
 */
#pragma once

#ifdef WEIR_COVERAGE
void __gcov_dump(void); /* gcc's */
#    define dump_coverage() __gcov_dump()
#else
#    define dump_coverage() ((void)0)
#endif
