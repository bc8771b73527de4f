/* SPDX-License-Identifier: Apache-2.0
 *
 * A server's papers: who it says it is in a TLS handshake, as read from the files that the options
 * name, and a copy of those options.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "client/server.h"
#include "io/clock.h"

#include <errno.h>
#include <string.h>

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* --- reading ------------------------------------------------------------------------------------
 */

const char *papers_check(const weir_server_tls_options *opt)
{
    if (opt->certificate_count > TLS_CERTIFICATES_MAX
        || (opt->certificate_count > 0 && opt->certificates == NULL)) {
        return "tls.certificates";
    }
    for (size_t i = 0; i < opt->certificate_count; i++) {
        if (!is_given(opt->certificates[i].certificate)) {
            return "tls.certificates.certificate";
        }
        if (!is_given(opt->certificates[i].key)) {
            return "tls.certificates.key";
        }
    }
    if (opt->certificate_count == 0 && is_given(opt->client_ca)) {
        return "tls.client_ca";
    }
    if (opt->min_version != 12 && opt->min_version != 13) {
        return "tls.min_version";
    }
    return opt->handshake_timeout_ms == WEIR_NONE ? "tls.handshake_timeout" : NULL;
}

/* Which option named that file. */
static const char *field_of(const weir_server_tls_options *opt, const char *file)
{
    if (file == NULL) {
        return "tls";
    }
    for (size_t i = 0; i < opt->certificate_count; i++) {
        if (file == opt->certificates[i].certificate) {
            return "tls.certificates.certificate";
        }
        if (file == opt->certificates[i].key) {
            return "tls.certificates.key";
        }
    }
    return "tls.client_ca";
}

static weir_err read_files(const weir_server_tls_options *opt, bool has_http2,
                           struct tls_profile **ret_profile)
{
    struct tls_identity identities[TLS_CERTIFICATES_MAX];
    struct tls_fault fault = {0};
    for (size_t i = 0; i < opt->certificate_count; i++) {
        identities[i] = (struct tls_identity){.certificate = opt->certificates[i].certificate,
                                              .key = opt->certificates[i].key};
    }
    const struct tls_profile_options profile = {
        .identities = identities,
        .identities_count = (uint32_t)opt->certificate_count,
        .ca = opt->client_ca,
        .min_version = opt->min_version == 13 ? TLS_1_3 : TLS_1_2,
        .offer = TLS_OFFER_HTTP1 | (has_http2 ? TLS_OFFER_H2 : 0),
    };
    int error = tls_profile_read(&profile, ret_profile, &fault);
    if (error == -ENOMEM) {
        return WEIR_ENOMEM;
    }
    return error != 0 ? ground_fault(WEIR_EINVAL, field_of(opt, fault.file)) : WEIR_OK;
}

static bool is_same(const char *a, const char *b)
{
    return is_given(a) == is_given(b) && (!is_given(a) || strcmp(a, b) == 0);
}

bool papers_are_like(const weir_server_tls_options *a, const weir_server_tls_options *b)
{
    bool is_like = a->certificate_count == b->certificate_count
                   && is_same(a->client_ca, b->client_ca) && a->min_version == b->min_version
                   && a->handshake_timeout_ms == b->handshake_timeout_ms;
    for (size_t i = 0; is_like && i < a->certificate_count; i++) {
        is_like = is_same(a->certificates[i].certificate, b->certificates[i].certificate)
                  && is_same(a->certificates[i].key, b->certificates[i].key);
    }
    return is_like;
}

/* --- copying ------------------------------------------------------------------------------------
 */

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static const char *put(char **at, const char *text)
{
    char *to = *at;
    *at += size_of(text);
    return text != NULL ? memcpy(to, text, size_of(text)) : NULL;
}

/* The copy's strings lie behind its certificates, in one block. */
static bool copy_options(const struct alloc *alloc, const weir_server_tls_options *opt,
                         struct papers *papers)
{
    size_t table = opt->certificate_count * sizeof(weir_server_certificate);
    size_t text = size_of(opt->client_ca);
    for (size_t i = 0; i < opt->certificate_count; i++) {
        text += size_of(opt->certificates[i].certificate) + size_of(opt->certificates[i].key);
    }
    papers->text = alloc_new(alloc, table + text);
    if (papers->text == NULL) {
        return false;
    }
    weir_server_certificate *copies = (weir_server_certificate *)(void *)papers->text;
    char *at = papers->text + table;
    for (size_t i = 0; i < opt->certificate_count; i++) {
        copies[i].certificate = put(&at, opt->certificates[i].certificate);
        copies[i].key = put(&at, opt->certificates[i].key);
    }
    papers->opt = *opt;
    papers->opt.certificates = copies;
    papers->opt.client_ca = put(&at, opt->client_ca);
    return true;
}

/* --- the papers ---------------------------------------------------------------------------------
 */

weir_err papers_read(const struct alloc *alloc, const weir_server_tls_options *opt, bool has_http2,
                     struct papers *ret_papers)
{
    struct papers papers = {.opt = *opt};
    weir_err err = WEIR_OK;
    if (opt->certificate_count > 0) {
        err = read_files(opt, has_http2, &papers.profile);
        if (err == WEIR_OK
            && (!copy_options(alloc, opt, &papers)
                || tls_tickets_new(clock_now_ms(), &papers.tickets) != 0)) {
            papers_fini(alloc, &papers);
            err = WEIR_ENOMEM;
        }
    }
    if (err == WEIR_OK) {
        *ret_papers = papers;
    }
    return err;
}

void papers_fini(const struct alloc *alloc, struct papers *papers)
{
    tls_profile_free(papers->profile);
    tls_tickets_free(papers->tickets);
    alloc_free(alloc, papers->text);
    *papers = (struct papers){0};
}

void papers_renew(const struct alloc *alloc, struct papers *papers, struct papers *take_next)
{
    tls_tickets_free(take_next->tickets); /* those handed out stay good */
    take_next->tickets = papers->tickets;
    papers->tickets = NULL;
    papers_fini(alloc, papers);
    *papers = *take_next;
    *take_next = (struct papers){0};
}
