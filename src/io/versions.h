/* SPDX-License-Identifier: Apache-2.0
 *
 * versions.h - the versions of the libraries under io: what it was built with, and what it runs
 * with.
 */
#pragma once

const char *versions_uv_built(void);
const char *versions_uv_running(void);
const char *versions_cares_built(void);
const char *versions_cares_running(void);
const char *versions_openssl_built(void);
const char *versions_openssl_running(void);
