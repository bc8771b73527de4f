/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox.h - what the process keeps of its rights once it has what it needs them for.
 *
 *     sandbox_new()     what the configuration asks for; nothing has changed
 *     sandbox_enter()   while there is one thread, with ports bound and certificates read: becomes
 *                       process.user, gives up capabilities, closes the fence around files
 *     sandbox_seal()    once all threads run: the filter of system calls, on each of them
 *
 * None of it can be undone, and a program that is started inside stays inside: who wants to start
 * another one (an upgrade) forks before sandbox_enter(). With `process.sandbox: off` only the user
 * changes; with `auto` what the kernel lacks is left out and said; with `on` there is no serving
 * without.
 */
#pragma once
#include "gateway/config.h"
#include "gateway/fence.h"
#include "gateway/privileges.h"

#include <stdbool.h>

#define SANDBOX_FAULT_MAX 400
#define SANDBOX_LACKS_MAX 200

struct sandbox;

/* NULL: no memory. The configuration need not live on. */
struct sandbox *sandbox_new(const struct config *config);
/* For a program whose files are all open; it stays who it is. */
struct sandbox *sandbox_new_bare(void);
void sandbox_free(struct sandbox *take_sandbox);

/* A listening socket that was opened before it is entered: it is process.user's. NULL is fine. */
void sandbox_cede(const struct sandbox *sandbox, int fd);
/* 0, or -errno and what failed and helps. Entered or sealed before: 0, and nothing happens. */
int sandbox_enter(struct sandbox *sandbox, char ret_fault[static SANDBOX_FAULT_MAX]);
int sandbox_seal(struct sandbox *sandbox, char ret_fault[static SANDBOX_FAULT_MAX]);

/* Whether a file can still be opened under that name, for who reads a configuration anew: a file
 * outside the folders known at start cannot. Blocking. */
bool sandbox_allows(const struct sandbox *sandbox, const char *path, enum fence_right right);

/* What is in force. The kernel is asked; any thread. */
struct sandbox_facts {
    struct privileges_facts rights;
    char user[64];
    char capabilities[24];
    const char *word; /* "on", "partial" (`lacks` says why), "off" */
    int landlock;     /* version in force; 0: none */
    bool seccomp;
    char lacks[SANDBOX_LACKS_MAX]; /* "": nothing that was asked for */
};
void sandbox_facts(const struct sandbox *sandbox,
                   struct sandbox_facts *ret); /* NULL: there is none */
/* As whom it serves, and what there is not of what was asked for. */
void sandbox_log(const struct sandbox *sandbox, const struct log_sink *log);
