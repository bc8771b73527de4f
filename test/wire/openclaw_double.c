/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_double.c - the double of an OpenClaw gateway (gateway/demo_openclaw.h) as a program.
 *
 *     openclaw_double [ADDRESS:PORT [TICK_MS [PAYLOAD_MAX [TOKEN]]]]
 *
 * Prints its port. Each line it reads is JSON, how it behaves from then on, and is answered with a
 * line "ok". Between those come lines of what clients do, {"heard": WHAT, "said": JSON}. It goes
 * with the end of its input.
 */
#include "gateway/demo_openclaw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON has line breaks only where a space would do. */
static void print_heard(void *arg, const char *what, const char *text, size_t len)
{
    const char *quote = strcmp(what, "upgrade") == 0 ? "\"" : "";
    (void)arg;
    flockfile(stdout);
    printf("{\"heard\":\"%s\",\"said\":%s", what, len == 0 ? "null" : quote);
    for (size_t i = 0; i < len; i++) {
        putchar(text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
    }
    printf("%s}\n", len == 0 ? "" : quote);
    fflush(stdout);
    funlockfile(stdout);
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t size = 0;
    struct demo_openclaw *demo;
    const struct demo_openclaw_options opt = {
        .address = argc > 1 ? argv[1] : NULL,
        .tick_ms = argc > 2 ? (uint32_t)atoi(argv[2]) : 0,
        .payload_max = argc > 3 ? strtoull(argv[3], NULL, 10) : 0,
        .token = argc > 4 ? argv[4] : NULL,
        .on_heard = print_heard,
    };
    int error = demo_openclaw_open(&opt, &demo);
    if (error != 0) {
        fprintf(stderr, "openclaw_double: %s\n", strerror(-error));
        return 1;
    }
    printf("%u\n", (unsigned)demo_openclaw_port(demo));
    fflush(stdout);
    for (ssize_t len = 0; (len = getline(&line, &size, stdin)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        puts(demo_openclaw_behave(demo, line) ? "ok" : "not JSON");
        fflush(stdout);
    }
    free(line);
    demo_openclaw_close(demo);
    return 0;
}
