/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_openapi.h - the admin interface as an OpenAPI 3.1 document, read from its table.
 */
#pragma once
#include "base/bytes.h"

#define ADMIN_OPENAPI_MAX (512U << 10) /* bytes of the document */

/* False: no memory. */
bool admin_openapi(struct bytes *out);
