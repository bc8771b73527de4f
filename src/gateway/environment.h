/* SPDX-License-Identifier: Apache-2.0
 *
 * environment.h - variables that a configuration uses, and that nobody else shall see.
 *
 * Whoever may look at the process sees its environment as it was started with (/proc/PID/environ),
 * a program that it starts inherits it. Therefore, once a configuration was read, what it used is
 * overwritten there; here it stays, for the configuration that is read next.
 *
 * As the environment itself: one for the process, and not for two threads at a time.
 */
#pragma once

/* The value, or NULL. It is noted that it was asked for. */
const char *environment_get(const char *name);
/* Overwrites, in the environment, the values of all that were asked for. */
void environment_hide(void);
