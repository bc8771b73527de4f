/* SPDX-License-Identifier: Apache-2.0
 *
 * command.h - the sub-commands of `weir`, one row each: what is called, and what --help says.
 */
#pragma once
#include <stdbool.h>

struct command {
    const char *name;
    const char *usage;                   /* what stands behind the name */
    const char *brief;                   /* one line, for the list */
    const char *help;                    /* paragraphs, for `weir NAME --help` */
    int (*run)(int count, char **words); /* words[0] is the first after the name; the exit status */
};

#define EXIT_USAGE 2 /* not understood; 1 is: understood, and failed */

/* All the program was started with, in that order; NULL behind them. */
extern char *const *program_words;

extern const struct command commands[]; /* ended by a NULL name */

int command_serve(int count, char **words);
int command_demo(int count, char **words);
int command_check(int count, char **words);
int command_show(int count, char **words);
int command_events(int count, char **words);
int command_top(int count, char **words);
int command_bench(int count, char **words);
int command_endpoint(int count, char **words);
int command_pool(int count, char **words);
int command_account(int count, char **words);
int command_drain(int count, char **words);
int command_upgrade(int count, char **words);
int command_reload(int count, char **words);
int command_healthcheck(int count, char **words);
int command_explain(int count, char **words);
int command_profile(int count, char **words);
int command_simulate(int count, char **words);
int command_config(int count, char **words);
int command_version(int count, char **words);
int command_completion(int count, char **words);
int command_help(int count, char **words);

const struct command *command_find(const char *name); /* or NULL */
void command_print_help(const struct command *command);

/* --- options of a command: "-c FILE", "--format=json", "--probe" ---------------------------------
 */

struct command_option {
    const char *name;   /* "--format", "-c" */
    const char **value; /* receives the value; NULL: it takes none */
    bool *given;        /* or NULL */
};

/* Takes the options out of `words`, which keeps the others; the number of them, or -1 after a
 * message. `options` ends with a NULL name. */
int command_options(const char *command, int count, char **words,
                    const struct command_option *options);
