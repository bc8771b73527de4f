/* SPDX-License-Identifier: Apache-2.0
 *
 * simulate.h - what `weir simulate` shows of a rehearsal: as text with a plot, as JSON, as SVG.
 */
#pragma once
#include "cli/advice.h"

#include <stdio.h>

struct simulation {
    char title[256]; /* the file, or the rate */
    const char *profile;
    struct rehearsal_plan plan;
    struct trace trace;
    struct rehearsal result;
    struct advice advice;
    bool has_advice;
    uint32_t target_ms;
};

/* unicode: the terminal knows more than ASCII. */
void simulate_print(FILE *out, const struct simulation *simulation, bool unicode);

/* One line and a newline. False without memory. */
bool simulate_print_json(FILE *out, const struct simulation *simulation);

/* Connections and queue over time, with the limit of the key. False where writing failed. */
bool simulate_print_svg(FILE *out, const struct simulation *simulation);
