/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal.h - what others say, as a terminal may be shown it.
 */
#pragma once
#include <stddef.h>

/* In place: what a terminal might take for more than a letter (controls, also those of two bytes;
 * marks that turn the direction of what follows) and what is no UTF-8 is a question mark. */
void terminal_tame(char *text);
/* How many letters a tamed text has. */
size_t terminal_width(const char *text);
