/* SPDX-License-Identifier: Apache-2.0
 *
 * version.c - `weir version`: the program, its compiler, and the libraries it was built with and
 * finds itself with now, which after an upgrade of the system are not the same.
 */
#include "cli/command.h"
#include "gateway/libraries.h"

#include <stdio.h>

int command_version(int count, char **words)
{
    bool verbose = false;
    const struct command_option options[] = {
        {"-v", NULL, &verbose}, {"--verbose", NULL, &verbose}, {0}};
    if (command_options("version", count, words, options) != 0) {
        fprintf(stderr, "usage: weir version [-v]\n");
        return EXIT_USAGE;
    }
    printf("weir %s\n", WEIR_VERSION);
    if (!verbose)
        return 0;
    printf("compiler  %s\n", __VERSION__);
#ifdef WEIR_DEEP_CHECKS
    printf("checks    deep\n");
#else
    printf("checks    release\n");
#endif
    printf("%-9s %-12s %s\n", "library", "built with", "running with");
    struct library_version libraries[LIBRARIES_MAX];
    uint32_t found = libraries_of(libraries);
    for (uint32_t i = 0; i < found; i++)
        printf("%-9s %-12s %s\n", libraries[i].name, libraries[i].built, libraries[i].running);
    return 0;
}
