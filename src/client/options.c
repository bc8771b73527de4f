/* SPDX-License-Identifier: Apache-2.0 */
#include "client/options.h"

#include "base/check.h"
#include "client/ground.h"
#include "core/option.h"

#include <string.h>

/* --- of the pool --------------------------------------------------------------------------------
 */

weir_err options_pool_take(const char *profile, const weir_pool_options *opt,
                           weir_pool_options *ret_pool)
{
    weir_pool_options pool = {0};
    size_t size = opt->size != 0 ? opt->size : sizeof pool;
    if (size > sizeof pool) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    memcpy(&pool, opt, size);
    pool.size = sizeof pool;
    weir_err err = weir_profile(profile, &pool);
    check(err == WEIR_OK);
    pool.name = profile;
    *ret_pool = pool;
    return WEIR_OK;
}

weir_err options_pool_resolve(const weir_connector *connector, weir_pool_options *pool)
{
    weir_pool_options resolved;
    const char *fault;
    pool->connector = connector;
    pool->connector_self = NULL;
    weir_err err = option_resolve(pool, &resolved, &fault);
    if (err != WEIR_OK) {
        return ground_fault(err, fault);
    }
    option_show(&resolved, pool);
    return WEIR_OK;
}

/* --- of anything --------------------------------------------------------------------------------
 */

bool options_is_switch(uint32_t value)
{
    return value == 0 || value == WEIR_ON || value == WEIR_OFF;
}

bool options_text(const struct alloc *alloc, char **ret_copy, const char *text)
{
    if (text == NULL) {
        return true;
    }
    size_t size = strlen(text) + 1;
    *ret_copy = alloc_new(alloc, size);
    if (*ret_copy != NULL) {
        memcpy(*ret_copy, text, size);
    }
    return *ret_copy != NULL;
}

/* --- of TLS -------------------------------------------------------------------------------------
 */

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* They are called alike, but for how a proxy's begin. */
static const char *field(enum options_tls which, const char *proxy_word)
{
    return which == OPTIONS_PROXY_TLS ? proxy_word : proxy_word + strlen("proxy_");
}

const char *options_tls_check(const weir_tls_options *opt, enum options_tls which)
{
    if (!options_is_switch(opt->verify)) {
        return field(which, "proxy_tls.verify");
    }
    return is_given(opt->certificate) != is_given(opt->key) ? field(which, "proxy_tls.key") : NULL;
}

bool options_tls_has_files(const weir_tls_options *opt)
{
    return is_given(opt->ca) || is_given(opt->certificate);
}

int options_tls_profile(const weir_tls_options *opt, enum options_tls which, unsigned offer,
                        struct tls_profile **ret_profile, const char **ret_fault)
{
    const struct tls_identity identity = {.certificate = opt->certificate, .key = opt->key};
    const struct tls_profile_options profile = {
        .identities = &identity,
        .identities_count = is_given(opt->certificate) ? 1 : 0,
        .ca = opt->ca,
        .offer = offer,
        .unverified = opt->verify == WEIR_OFF,
    };
    struct tls_fault fault = {0};
    int error = tls_profile_read(&profile, ret_profile, &fault);
    *ret_fault = field(which, fault.file == NULL               ? "proxy_tls"
                              : fault.file == opt->ca          ? "proxy_tls.ca"
                              : fault.file == opt->certificate ? "proxy_tls.certificate"
                                                               : "proxy_tls.key");
    return error;
}
