/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_double.c - the double of an OpenClaw gateway (gateway/demo_openclaw.h) as a program.
 *
 *     openclaw_double [PORT [TICK_MS [PAYLOAD_MAX]]]
 *
 * Prints its port. Each line it reads is JSON, how it behaves from then on, and is answered with a
 * line "ok"; it goes with the end of its input.
 */
#include "gateway/demo_openclaw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    char address[32], line[4096];
    struct demo_openclaw *demo;
    snprintf(address, sizeof address, "127.0.0.1:%d", argc > 1 ? atoi(argv[1]) : 0);
    const struct demo_openclaw_options opt = {
        .address = address,
        .tick_ms = argc > 2 ? (uint32_t)atoi(argv[2]) : 0,
        .payload_max = argc > 3 ? strtoull(argv[3], NULL, 10) : 0,
    };
    int error = demo_openclaw_open(&opt, &demo);
    if (error != 0) {
        fprintf(stderr, "openclaw_double: %s\n", strerror(-error));
        return 1;
    }
    printf("%u\n", (unsigned)demo_openclaw_port(demo));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        puts(demo_openclaw_behave(demo, line) ? "ok" : "not JSON");
        fflush(stdout);
    }
    demo_openclaw_close(demo);
    return 0;
}
