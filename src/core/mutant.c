/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mutant.h"

#ifdef WEIR_MUTANTS
int weir_mutant;
#endif
