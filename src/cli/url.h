/* SPDX-License-Identifier: Apache-2.0
 *
 * url.h - what others are called, as a part of a path or of a query.
 */
#pragma once
#include "base/text.h"

/* With %xx for whatever is not a letter, a digit or one of "-._~", and a NUL. All of its length is
 * returned, as snprintf does. */
size_t url_escape(char *ret, size_t size, struct slice text);
