/* SPDX-License-Identifier: Apache-2.0
 *
 * mutant.h - rules that can be broken on purpose, to see that the tests would notice. In a core
 * built with WEIR_MUTANTS (for that test alone) MUTANT(n) is true when weir_mutant is n; elsewhere
 * it is false and costs nothing. The rules:
 *
 */
#pragma once
#include <stdbool.h>

#ifdef WEIR_MUTANTS
extern int weir_mutant; /* in mutant.c */
#    define MUTANT(n) (weir_mutant == (n))
#else
#    define MUTANT(n) false
#endif
