/* SPDX-License-Identifier: Apache-2.0
 *
 * pages.h - memory that will be written to soon, got from the system in one piece: a page that is
 * touched for the first time costs a trap into the kernel, sixteen of them together one call.
 */
#pragma once
#include <stddef.h>

/* The pages that begin in that memory are there from now on, if the system can; what they hold
 * stays. Where it cannot, or would have none left, each comes when it is touched, as ever. */
void pages_ready(void *at, size_t bytes);
