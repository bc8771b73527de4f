/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *file, int line, const char *func, const char *expr)
{
    fprintf(stderr, "weir: internal error at %s:%d in %s(): check failed: %s\n", file, line, func,
            expr);
    abort();
}
