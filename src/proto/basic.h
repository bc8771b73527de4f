/* SPDX-License-Identifier: Apache-2.0
 *
 * basic.h - reads the credentials of an Authorization field of the scheme Basic (RFC 7617).
 *
 * Strict: base64 with its padding, one user-id before the first colon; any bytes but NUL.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

#define BASIC_BYTES_MAX 4200U /* of "user:password"; a longer one is none */

/* False: it is of another scheme, or none. The password lies in `room`. */
bool basic_password(struct slice value, char room[static BASIC_BYTES_MAX],
                    struct slice *ret_password);
