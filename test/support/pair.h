/* SPDX-License-Identifier: Apache-2.0
 *
 * pair.h - for tests that need files: a certificate that signs itself, and its key.
 */
#pragma once
#include "io/tls_make.h"
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pair {
    char certificate[64], key[64];
};

static inline void write_file(char *path, const char *text)
{
    strcpy(path, "/tmp/weir-server-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static inline void pair_make(struct pair *pair, const char *name)
{
    char *certificate, *key;
    const struct tls_make_options opt = {
        .names = &name, .names_count = 1, .from_s = -3600, .to_s = 3600};
    assert_int_equal(tls_make_self_signed(&opt, &certificate, &key), 0);
    write_file(pair->certificate, certificate);
    write_file(pair->key, key);
    free(certificate);
    free(key);
}

static inline void pair_drop(const struct pair *pair)
{
    unlink(pair->certificate);
    unlink(pair->key);
}
