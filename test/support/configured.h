/* SPDX-License-Identifier: Apache-2.0
 *
 * configured.h - a configuration of a test, read from its text: one that is good, or the test
 * fails.
 */
#pragma once
#include "gateway/config.h"
#include "support/unit.h"

#include <string.h>

static inline struct config *read_good(const char *text)
{
    struct config_faults faults;
    struct config *config = config_read_text("t", text, strlen(text), &faults);
    for (uint32_t i = 0; i < faults.count; i++)
        if (!faults.at[i].advice)
            fail_msg("%u:%u: %s in:\n%s", faults.at[i].line, faults.at[i].column, faults.at[i].text,
                     text);
    assert_non_null(config);
    config_faults_free(&faults);
    return config;
}
