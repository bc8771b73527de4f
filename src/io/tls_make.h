/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_make.h - a self-signed certificate, for demonstrations and tests.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct tls_make_options {
    const char *const *names; /* host names and literal addresses it is for */
    uint32_t names_count;
    int64_t from_s, to_s; /* valid, relative to now */
    bool is_rsa;          /* of 2048 bits; else ECDSA on P-256 */
};

/* Both as PEM, of malloc's. 0 or -errno. */
int tls_make_self_signed(const struct tls_make_options *opt, char **ret_certificate,
                         char **ret_key);
