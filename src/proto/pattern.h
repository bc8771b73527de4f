/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern.h - names with a * for any text: models of an account, families of metrics.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>

bool pattern_fits(const char *pattern, struct slice text);
