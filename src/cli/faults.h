/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.h - what is wrong with a configuration, shown to a person or to a program.
 */
#pragma once
#include "gateway/config.h"

#include <stdio.h>

/* file:line:column: message, a line each; advice only where it is wanted. */
void faults_print(FILE *to, const struct config_faults *faults, bool advice);
/* The members of an object, but for its brackets. */
void faults_print_json(FILE *to, const struct config_faults *faults);
