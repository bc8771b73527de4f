/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - `weir`: finds the sub-command and runs it.
 */
#include "base/text.h"
#include "cli/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int unknown_command(const char *name);

char *const *program_words;

/* Commands put theirs in another order. */
static bool keep_words(int count, char **words)
{
    char **copy = calloc((size_t)count + 1, sizeof(*copy));
    for (int i = 0; copy != NULL && i < count; i++)
        copy[i] = words[i];
    program_words = copy;
    return copy != NULL;
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of the write */
    if (!keep_words(count, words))
        return 1;
    if (count < 2)
        return command_help(0, NULL), EXIT_USAGE;
    const char *name = words[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return command_help(count - 2, words + 2);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return command_version(count - 2, words + 2);
    const struct command *command = command_find(name);
    if (command == NULL)
        return unknown_command(name);
    for (int i = 2; i < count; i++)
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) {
            command_print_help(command);
            return 0;
        }
    return command->run(count - 2, words + 2);
}

static int unknown_command(const char *name)
{
    const char *names[32];
    size_t count = 0;
    for (const struct command *c = commands; c->name != NULL && count < 32; c++)
        names[count++] = c->name;
    const char *near = text_did_you_mean(slice_of(name), names, count);
    if (near != NULL)
        fprintf(stderr, "weir: there is no command %s; did you mean %s?\n", name, near);
    else
        fprintf(stderr, "weir: there is no command %s; `weir help` lists them\n", name);
    return EXIT_USAGE;
}
