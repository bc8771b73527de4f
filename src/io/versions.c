/* SPDX-License-Identifier: Apache-2.0
 *
 * versions.c - asked of the headers, and of the libraries themselves.
 */
#include "io/versions.h"

#include <ares.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <uv.h>

#define TEXT(x)    TEXT_OF(x)
#define TEXT_OF(x) #x

const char *versions_uv_built(void)
{
    return TEXT(UV_VERSION_MAJOR) "." TEXT(UV_VERSION_MINOR) "." TEXT(UV_VERSION_PATCH);
}

const char *versions_uv_running(void)
{
    return uv_version_string();
}

const char *versions_cares_built(void)
{
    return ARES_VERSION_STR;
}

const char *versions_cares_running(void)
{
    return ares_version(NULL);
}

const char *versions_openssl_built(void)
{
    return OPENSSL_VERSION_STR;
}

const char *versions_openssl_running(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
