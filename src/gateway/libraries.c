/* SPDX-License-Identifier: Apache-2.0
 *
 * libraries.c - asks each of them.
 */
#include "gateway/libraries.h"

#include "io/versions.h"

#include <gnu/libc-version.h>
#include <nghttp2/nghttp2.h>
#include <nghttp2/nghttp2ver.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include <yaml.h>

static void put(struct library_version *row, const char *name, const char *built,
                const char *running)
{
    row->name = name;
    snprintf(row->built, sizeof(row->built), "%s", built);
    snprintf(row->running, sizeof(row->running), "%s", running);
}

static void xxhash_text(char ret[32], unsigned number)
{
    snprintf(ret, 32, "%u.%u.%u", number / 10000, number / 100 % 100, number % 100);
}

uint32_t libraries_of(struct library_version ret[static LIBRARIES_MAX])
{
    uint32_t n = 0;
    char built[32], running[32];
    put(&ret[n++], "libuv", versions_uv_built(), versions_uv_running());
    put(&ret[n++], "c-ares", versions_cares_built(), versions_cares_running());
    put(&ret[n++], "nghttp2", NGHTTP2_VERSION, nghttp2_version(0)->version_str);
    put(&ret[n++], "openssl", versions_openssl_built(), versions_openssl_running());
    put(&ret[n++], "libyaml", WEIR_YAML_VERSION, yaml_get_version_string());
    xxhash_text(built, XXH_VERSION_NUMBER);
    xxhash_text(running, XXH_versionNumber());
    put(&ret[n++], "xxhash", built, running);
    snprintf(built, sizeof(built), "%d.%d", __GLIBC__, __GLIBC_MINOR__);
    put(&ret[n++], "glibc", built, gnu_get_libc_version());
    return n;
}
