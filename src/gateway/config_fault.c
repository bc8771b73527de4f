/* SPDX-License-Identifier: Apache-2.0
 *
 * config_fault.c - the list of faults.
 */
#include "gateway/config_fault.h"

#include "gateway/config_arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 512 /* a message is one line that fits a terminal or two */

static void fault_add(struct config_faults *faults, struct config_place place, bool advice,
                      const char *text);
static void one_line(char *text);

void config_faults_init(struct config_faults *faults, const struct config_memory *memory)
{
    struct config_arena *arena = config_arena_new(memory);
    *faults = (struct config_faults){.arena = arena};
    if (arena != NULL)
        faults->at = config_arena_take(arena, CONFIG_FAULTS_MAX * sizeof(*faults->at));
}

void config_faults_short(struct config_faults *faults, const char *file)
{
    faults->last_resort = (struct config_fault){.file = file, .text = "out of memory"};
    faults->at = &faults->last_resort;
    faults->count = faults->errors = 1;
}

void config_faults_free(struct config_faults *faults)
{
    config_arena_free(faults->arena);
    *faults = (struct config_faults){0};
}

void config_error(struct config_faults *faults, struct config_place place, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fault_add(faults, place, false, text);
}

void config_advise(struct config_faults *faults, struct config_place place, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fault_add(faults, place, true, text);
}

static void fault_add(struct config_faults *faults, struct config_place place, bool advice,
                      const char *text)
{
    faults->errors += advice ? 0 : 1;
    if (faults->count == CONFIG_FAULTS_MAX || faults->at == NULL)
        return;
    const char *file = place.file != NULL ? place.file : ""; /* its place found no memory */
    char *kept = config_arena_copy(faults->arena, text, strlen(text));
    one_line(kept);
    faults->at[faults->count++] =
        (struct config_fault){.advice = advice,
                              .file = config_arena_copy(faults->arena, file, strlen(file)),
                              .line = place.line,
                              .column = place.column,
                              .text = kept};
}

/* A value of the user's may hold anything; a message holds no control byte. */
static void one_line(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

/* Files keep the order in which their first fault was met, so only neighbours of one file swap. An
 * insertion sort, because it is stable and the list is short. */
void config_faults_sort(struct config_faults *faults)
{
    for (uint32_t i = 1; i < faults->count; i++) {
        struct config_fault f = faults->at[i];
        uint32_t j = i;
        for (; j > 0; j--) {
            const struct config_fault *before = &faults->at[j - 1];
            if (strcmp(before->file, f.file) != 0 || before->line < f.line
                || (before->line == f.line && before->column <= f.column))
                break;
            faults->at[j] = *before;
        }
        faults->at[j] = f;
    }
}
