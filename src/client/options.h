/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - what the options of clients have in common: those of the pool, those of TLS, texts.
 * Says by weir_runtime_fault() which field of a pool's is wrong; of the others by its name.
 */
#pragma once
#include <weir/http.h>

#include "base/alloc.h"
#include "io/tls_profile.h"

#include <stdbool.h>

/* How the fields are called: "tls.ca", "proxy_tls.ca". */
enum options_tls { OPTIONS_TLS, OPTIONS_PROXY_TLS };

/* What was given, and what the profile of that name says of the rest. */
weir_err options_pool_take(const char *profile, const weir_pool_options *opt,
                           weir_pool_options *ret_pool);
/* In full, for pools of that connector; their names are given when they are opened. */
weir_err options_pool_resolve(const weir_connector *connector, weir_pool_options *pool);

/* 0, WEIR_ON or WEIR_OFF. */
bool options_is_switch(uint32_t value);
/* *ret_copy stays as it is where text is NULL. False: no memory. */
bool options_text(const struct alloc *alloc, char **ret_copy, const char *text);

/* The field that is wrong as far as one sees without its files, or NULL. */
const char *options_tls_check(const weir_tls_options *opt, enum options_tls which);
bool options_tls_has_files(const weir_tls_options *opt);
/* Reads the files. 0, or -errno and the field. */
int options_tls_profile(const weir_tls_options *opt, enum options_tls which, unsigned offer,
                        struct tls_profile **ret_profile, const char **ret_fault);
