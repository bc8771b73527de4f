/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_records.c - c-ares can give up no single question, so an ask that was cancelled stays until
 * its questions have ended, and tells nobody.
 */
#include "io/dns_records.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/list.h"
#include "io/dns_parts.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <string.h>

#define HOSTS_TTL_S 5U /* how soon a changed hosts file shows */

struct asked {
    struct dns_ask *ask;
    enum dns_type type;
    enum dns_error error; /* DNS_LATER: it has not been answered */
};

struct dns_ask {
    struct loop *loop;
    struct loop_later later;
    struct asked questions[2];
    uint32_t count; /* of questions */
    uint32_t pending;
    bool is_here;       /* known without asking */
    dns_records_fn *fn; /* NULL: nobody is to be told */
    void *self;
    struct dns_records records;
    struct dns_record room[];
};

static void ask_free(struct dns_ask *take_ask)
{
    loop_later_cancel(take_ask->loop, &take_ask->later);
    alloc_free(loop_alloc(take_ask->loop), take_ask);
}

/* What failed says more than what is not there. */
static enum dns_error error_of(const struct dns_ask *ask, bool *ret_is_half)
{
    enum dns_error worst = DNS_NOT_FOUND;
    for (uint32_t i = 0; i < ask->count; i++) {
        enum dns_error error = ask->questions[i].error;
        if (error != DNS_OK && error != DNS_NOT_FOUND) {
            worst = error;
        }
    }
    *ret_is_half = ask->records.count > 0 && worst != DNS_NOT_FOUND && !ask->is_here;
    return ask->records.count > 0 ? DNS_OK : worst;
}

static void tell(struct loop_later *later)
{
    struct dns_ask *ask = container_of(later, struct dns_ask, later);
    bool is_half;
    enum dns_error error = error_of(ask, &is_half);
    dns_records_fn *fn = ask->fn;
    ask->fn = NULL; /* whoever is told may cancel it, which comes to nothing */
    if (fn != NULL) {
        fn(ask->self, error, error == DNS_OK ? &ask->records : NULL, is_half);
    }
    ask_free(ask);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *data, int len)
{
    struct asked *question = arg;
    struct dns_ask *ask = question->ask;
    (void)timeouts;
    question->error = dns_error_of(status);
    if (question->error == DNS_OK) {
        uint32_t before = ask->records.count;
        bool is_good = dns_message_read(data, (size_t)len, question->type, &ask->records);
        ask->records.count = is_good ? ask->records.count : before;
        question->error = is_good ? DNS_OK : DNS_FAILED;
    }
    if (--ask->pending > 0) {
        return;
    }
    if (ask->fn == NULL || status == ARES_EDESTRUCTION) {
        ask_free(ask);
    } else {
        loop_later(ask->loop, &ask->later);
    }
}

static void take_known(struct dns_ask *ask, const struct dns_answer *answer)
{
    ask->is_here = true;
    ask->records.ttl_s = HOSTS_TTL_S;
    for (uint32_t i = 0; i < answer->count && i < ask->records.most; i++) {
        ask->records.at[ask->records.count++].ip = answer->at[i];
    }
    ask->records.is_cut = answer->count > ask->records.most;
    loop_later(ask->loop, &ask->later);
}

static void ask_servers(struct dns *dns, struct dns_ask *ask, const struct dns_question *question)
{
    bool is_service = question->kind == DNS_SERVICES;
    static const enum dns_type types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};
    const struct dns_ares ares = dns_ares_of(dns);
    ask->count = ask->pending = is_service ? 1 : 2;
    for (uint32_t i = 0; i < ask->count; i++) {
        ask->questions[i] = (struct asked){
            .ask = ask, .type = is_service ? DNS_TYPE_SRV : types[i], .error = DNS_LATER};
    }
    for (uint32_t i = 0, count = ask->count; i < count; i++) { /* the last answer may free it */
        ares_search(ares.channel, question->name, ns_c_in, (int)ask->questions[i].type, on_answer,
                    &ask->questions[i]);
    }
    dns_rearm(dns);
}

enum dns_error dns_records_ask(struct dns *dns, const struct dns_question *question,
                               dns_records_fn *fn, void *self, struct dns_ask **ret_ask)
{
    struct loop *loop = dns_ares_of(dns).loop;
    struct dns_answer answer = {0};
    const char *name = question->name;
    if (name[0] == '\0' || strlen(name) > DNS_NAME_MAX) {
        return DNS_BAD_NAME;
    }
    struct dns_ask *ask = alloc_zeroed(loop_alloc(loop),
                                       sizeof *ask + question->most * sizeof(struct dns_record));
    if (ask == NULL) {
        return DNS_FULL;
    }
    ask->loop = loop;
    ask->later.run = tell;
    ask->fn = fn;
    ask->self = self;
    ask->records =
        (struct dns_records){.at = ask->room, .most = question->most, .ttl_s = UINT32_MAX};
    *ret_ask = ask;
    if (question->kind == DNS_ADDRESSES && dns_look_here(dns, name, &answer)) {
        take_known(ask, &answer);
    } else {
        ask_servers(dns, ask, question);
    }
    return DNS_OK;
}

void dns_records_cancel(struct dns_ask *take_ask)
{
    if (take_ask == NULL || take_ask->fn == NULL) {
        return; /* it tells just now, and goes by itself */
    }
    take_ask->fn = NULL;
    if (take_ask->pending == 0) {
        ask_free(take_ask);
    }
}
