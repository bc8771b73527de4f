/* SPDX-License-Identifier: Apache-2.0
 *
 * oserror.c - glibc's table; strerror() may answer from a buffer that others overwrite.
 */
#include "io/oserror.h"

#include <stddef.h>
#include <string.h>

const char *oserror_text(int error)
{
    const char *text = strerrordesc_np(error < 0 ? -error : error);
    return text != NULL ? text : "unknown error";
}
