/* SPDX-License-Identifier: Apache-2.0
 *
 * oserror.h - what the system calls an error, for people. Any thread.
 */
#pragma once

/* errno or -errno; never NULL. */
const char *oserror_text(int error);
