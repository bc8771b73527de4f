/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check_tls.c - certificates: whether they are there, fit their keys, and last.
 */
#include "gateway/config_check_parts.h"
#include "gateway/secure.h"
#include "io/clock.h"

#include <string.h>

#define EXPIRY_ADVICE_S ((int64_t)30 * 86400)

/* Where the path of a file was written. */
static struct config_place place_of_file(const struct check *c, const char *file,
                                         const char *const *fields[], uint32_t count,
                                         struct config_place otherwise)
{
    for (uint32_t i = 0; i < count; i++)
        if (*fields[i] == file)
            return config_places_of(c->places, fields[i]);
    return otherwise;
}

static void advise_certificate(const struct check *c, const char *whose, const char *name,
                               const struct tls_certificate *seen, struct config_place place)
{
    int64_t left_s = seen->not_after_s - (int64_t)(clock_wall_ms() / 1000);
    int64_t until_s = seen->not_before_s - (int64_t)(clock_wall_ms() / 1000);
    if (left_s < 0)
        config_advise(c->faults, place, "%s %s: the certificate in %s expired %lld days ago", whose,
                      name, seen->file, (long long)(-left_s / 86400));
    else if (left_s < EXPIRY_ADVICE_S)
        config_advise(c->faults, place, "%s %s: the certificate in %s expires in %lld days", whose,
                      name, seen->file, (long long)(left_s / 86400));
    if (until_s > 0)
        config_advise(c->faults, place, "%s %s: the certificate in %s is not valid yet", whose,
                      name, seen->file);
    if (seen->weakness != NULL)
        config_advise(c->faults, place, "%s %s: the certificate in %s is weak: %s", whose, name,
                      seen->file, seen->weakness);
}

static void advise_profile(const struct check *c, const char *whose, const char *name,
                           struct tls_profile *profile, struct config_place place)
{
    for (uint32_t i = 0; i < tls_profile_certificates(profile); i++) {
        struct tls_certificate seen;
        tls_profile_certificate(profile, i, &seen);
        advise_certificate(c, whose, name, &seen, place);
    }
    tls_profile_free(profile);
}

void config_check_listener_tls(const struct check *c, const struct config_listener *l)
{
    struct tls_profile *profile;
    struct tls_fault fault;
    struct config_place here = AT(c, l->tls.is_on);
    if (!l->tls.is_on)
        return;
    if (l->tls.pair.certificate[0] == '\0' || l->tls.pair.key[0] == '\0') {
        config_error(c->faults, here, "listener %s: tls needs a certificate and a key", l->name);
        return;
    }
    if (!c->opens_files)
        return;
    const char *const *fields[3 + 2 * 255] = {&l->tls.pair.certificate, &l->tls.pair.key,
                                              &l->tls.client_ca};
    for (uint32_t i = 0; i < l->tls.certificates.count; i++) {
        fields[3 + 2 * i] = &l->tls.certificates.at[i].certificate;
        fields[4 + 2 * i] = &l->tls.certificates.at[i].key;
    }
    if (secure_listener_profile(l, &profile, &fault) == 0)
        advise_profile(c, "listener", l->name, profile, here);
    else
        config_error(c->faults,
                     place_of_file(c, fault.file, fields, 3 + 2 * l->tls.certificates.count, here),
                     "listener %s: %s", l->name, fault.text);
}

void config_check_upstream_tls(const struct check *c, const struct config_upstream *u)
{
    struct tls_profile *profile;
    struct tls_fault fault;
    const char *const *fields[] = {&u->tls.ca, &u->tls.pair.certificate, &u->tls.pair.key};
    bool has_certificate = u->tls.pair.certificate[0] != '\0';
    if (has_certificate != (u->tls.pair.key[0] != '\0')) {
        config_error(c->faults,
                     has_certificate ? AT(c, u->tls.pair.certificate) : AT(c, u->tls.pair.key),
                     "upstream %s: a certificate needs a key, and a key its certificate", u->name);
        return;
    }
    if (!secure_is_needed(u)) {
        for (uint32_t i = 0; i < 3; i++)
            if ((*fields[i])[0] != '\0')
                config_advise(c->faults, config_places_of(c->places, fields[i]),
                              "upstream %s: tls is for https://, and no endpoint is", u->name);
        return;
    }
    if (u->tls.verify == WEIR_OFF)
        config_advise(
            c->faults, AT(c, u->tls.verify),
            "upstream %s: whoever stands between can read and change everything: verify is "
            "false",
            u->name);
    if (!c->opens_files)
        return;
    if (secure_upstream_profile(u, &profile, &fault) == 0)
        advise_profile(c, "upstream", u->name, profile, AT(c, u->tls.pair.certificate));
    else
        config_error(c->faults, place_of_file(c, fault.file, fields, 3, AT(c, u->name)),
                     "upstream %s: %s", u->name, fault.text);
}

void config_check_proxy_tls(const struct check *c, const struct config_upstream *u)
{
    struct tls_profile *profile;
    struct tls_fault fault;
    const char *const *fields[] = {&u->proxy_tls.ca, &u->proxy_tls.sni};
    if (!secure_is_needed_by_proxy(u)) {
        for (uint32_t i = 0; i < 2; i++)
            if ((*fields[i])[0] != '\0')
                config_advise(c->faults, config_places_of(c->places, fields[i]),
                              "upstream %s: proxy_tls is for a proxy of https://", u->name);
        return;
    }
    if (!c->opens_files)
        return;
    if (secure_proxy_profile(u, &profile, &fault) == 0)
        advise_profile(c, "proxy of upstream", u->name, profile, AT(c, u->proxy));
    else
        config_error(c->faults, place_of_file(c, fault.file, fields, 1, AT(c, u->proxy)),
                     "upstream %s: %s", u->name, fault.text);
}
