/* SPDX-License-Identifier: Apache-2.0
 *
 * crash.h - a crash in code of somebody else's, on a thread of ours, that costs no more than that
 * thread.
 *
 * Between crash_guard_begin() and crash_guard_end() a thread that crashes (SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL) does not take the process along: somebody is told, and the thread sleeps for ever, with
 * its stack, and with whatever locks it held. Crashes of other threads, and outside of a guard, go
 * where they went before. abort() is not a crash but a decision, and stands.
 */
#pragma once

struct crash_guard {
    void (*crashed)(
        void *self); /* on the thread, inside a signal handler; what POSIX allows there */
    void *self;
};

/* Once in a process, before the first guard: takes the signals. */
void crash_contain(void);

/* The guard lives until its end; on a thread there is one at a time. */
void crash_guard_begin(struct crash_guard *guard);
void crash_guard_end(void);
