/* SPDX-License-Identifier: Apache-2.0
 *
 * launcher.h - a child that starts this program once more when it is asked to.
 *
 * What a process gives up when it begins to serve (being root, system calls, files) its children
 * have given up as well, and a program that has threads had better not fork. So a child is forked
 * while neither has happened, which does nothing but wait:
 *
 *     program ── start, kill ─▶ launcher ── fork, exec ─▶ the program anew
 *             ◀─ started (and a passage to it), failed, ended ──
 *
 * The new one is started as this one was: the same arguments, environment, folder and standard
 * files, and nothing else but its end of a passage, whose number is in the environment. Which file
 * it is started from is looked up anew, so that one that was replaced meanwhile counts.
 *
 * The launcher ends with its program, whatever ends that; what it has started goes on.
 */
#pragma once
#include "io/loop.h"
#include "io/passage.h"

#include <sys/types.h>

struct launcher;

/* Forks: before there are threads, loops, or anything that a new process must not have. `words` are
 * the program's arguments; `name` is the environment's word for the passage. Both outlive it. 0 or
 * -errno. */
int launcher_open(char *const *words, const char *name, struct launcher **ret_launcher);
void launcher_close(struct launcher *take_launcher); /* ends the child, too; NULL is fine */

struct launcher_ops {
    /* What launcher_start() has begun: the passage to it is the callee's. */
    void (*started)(void *self, pid_t pid, struct passage *take_passage);
    /* … could not be begun, or no program took its place: -errno. */
    void (*failed)(void *self, int error);
    /* One that was started has ended, with this status (wait(2)). */
    void (*ended)(void *self, pid_t pid, int status);
    /* Somebody has ended the launcher: nothing can be started any more. */
    void (*gone)(void *self);
    void *self;
};
/* From now on what happens comes as callbacks on the loop. */
void launcher_listen(struct launcher *launcher, struct loop *loop, const struct launcher_ops *ops);

int launcher_start(struct launcher *launcher); /* 0, or -errno and nothing will be told */
int launcher_kill(struct launcher *launcher);  /* the one that was started last */
