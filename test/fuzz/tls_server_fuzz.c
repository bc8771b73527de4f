/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_server_fuzz.c - a server's first bytes, whatever they are: the handshake fails or waits, and
 * gives everything back.
 */
#include "base/check.h"
#include "io/socket.h"
#include "io/tls.h"
#include "io/tls_make.h"
#include "io/tls_profile.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct tls_desk *desk;
static struct tls_server *server;

struct end {
    bool done;
    struct tls_result result;
};

/* Once: a certificate costs more than a thousand handshakes that fail. */
static void begin(void)
{
    const char *const name = "fuzz.test";
    const struct tls_make_options make = {
        .names = &name, .names_count = 1, .from_s = -3600, .to_s = 86400};
    char *certificate, *key;
    struct tls_profile *profile;
    struct tls_tickets *tickets;
    struct tls_fault fault;
    check(tls_make_self_signed(&make, &certificate, &key) == 0);
    const struct tls_identity identity = {"certificate", "key", certificate, key};
    const struct tls_profile_options opt = {
        .identities = &identity, .identities_count = 1, .offer = TLS_OFFER_HTTP1 | TLS_OFFER_H2};
    check(loop_new(&(struct loop_options){0}, &loop) == 0);
    check(tls_desk_new(loop, &desk) == 0);
    check(tls_profile_read(&opt, &profile, &fault) == 0);
    check(tls_tickets_new(0, &tickets) == 0);
    check(tls_server_new(desk, profile, tickets, &server) == 0);
    tls_profile_free(profile);
    tls_tickets_free(tickets);
    free(certificate);
    free(key);
}

static void on_done(void *self, struct stream *stream, const struct tls_result *result)
{
    struct end *end = self;
    (void)stream;
    check(!end->done && result->error < TLS_ERROR_COUNT);
    end->done = true;
    end->result = *result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct end end = {0};
    struct stream *below, *stream;
    int fds[2];
    if (loop == NULL) {
        begin();
    }
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    size = size < 65536 ? size : 65536;
    check(write(fds[1], data, size) == (ssize_t)size);
    check(shutdown(fds[1], SHUT_WR) == 0);
    const struct tls_options opt = {.server = server, .done = on_done, .self = &end};
    check(socket_adopt(loop, fds[0], &below) == 0);
    check(tls_open(desk, &opt, below, &stream) == 0);
    for (int turns = 0; !end.done; turns++) {
        check(turns < 100); /* the end of the input ends it */
        loop_turn(loop, 10);
    }
    check(end.result.error != TLS_OK); /* nobody there can finish */
    stream_close(stream);
    close(fds[1]);
    loop_turn(loop, 0);
    return 0;
}
