/* SPDX-License-Identifier: Apache-2.0
 *
 * maker.h - certificates for unit tests, made on the spot: as text, and as a file for who trusts
 * it.
 */
#pragma once
#include "io/tls_make.h"
#include "io/tls_profile.h"
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY_S (int64_t)86400

struct maker {
    char *certificate, *key;
    char ca[64]; /* the certificate as a file: who trusts it */
};

static inline struct maker maker_of(int64_t from_s, int64_t to_s, bool is_rsa, const char *first,
                                    const char *second)
{
    struct maker maker = {.ca = "/tmp/weir-tls-XXXXXX"};
    const char *const names[] = {first, second};
    const struct tls_make_options opt = {.names = names,
                                         .names_count = second != NULL ? 2 : 1,
                                         .from_s = from_s,
                                         .to_s = to_s,
                                         .is_rsa = is_rsa};
    assert_int_equal(tls_make_self_signed(&opt, &maker.certificate, &maker.key), 0);
    int fd = mkstemp(maker.ca);
    assert_true(fd >= 0);
    size_t len = strlen(maker.certificate);
    assert_int_equal(write(fd, maker.certificate, len), len);
    close(fd);
    return maker;
}

static inline void maker_free(struct maker *maker)
{
    free(maker->certificate);
    free(maker->key);
    unlink(maker->ca);
}

static inline struct tls_identity identity_of(const struct maker *maker)
{
    return (struct tls_identity){.certificate = "cert.pem",
                                 .key = "key.pem",
                                 .certificate_text = maker->certificate,
                                 .key_text = maker->key};
}
