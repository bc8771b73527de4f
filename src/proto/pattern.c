/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pattern.h"

/* The last * takes what it has to, so one step back is enough. */
bool pattern_fits(const char *pattern, struct slice text)
{
    const char *star = NULL;
    uint32_t at = 0, since = 0;
    while (at < text.len) {
        if (*pattern == '*') {
            star = pattern++;
            since = at;
        } else if (*pattern == text.at[at]) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++since;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}
