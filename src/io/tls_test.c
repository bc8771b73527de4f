/* SPDX-License-Identifier: Apache-2.0
 *
 * Both ends on one loop, over a pair of sockets, with certificates made on the spot.
 */
#include "io/tls.h"

#include "io/socket.h"
#include "io/tls_profile.h"
#include "support/maker.h"
#include "support/turns.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct stream *stream;
    bool done;
    struct tls_result result;
    char detail[200];
    unsigned ready;
    char *got;
    size_t got_len;
    ssize_t last; /* what read() said last */
};

static struct loop *loop;
static struct tls_desk *desk;
static struct tls_tickets *tickets;
static struct tls_server *server;
static struct tls_client *client;
static struct side a, b; /* client and server */

static struct tls_profile *profile_of(const struct tls_profile_options *opt)
{
    struct tls_profile *profile = NULL;
    struct tls_fault fault;
    int error = tls_profile_read(opt, &profile, &fault);
    if (error != 0) {
        fail_msg("%d: %s", error, fault.text);
    }
    return profile;
}

static void serve_with(const struct tls_profile_options *opt)
{
    struct tls_profile *profile = profile_of(opt);
    assert_int_equal(tls_server_new(desk, profile, tickets, &server), 0);
    tls_profile_free(profile);
}

static void call_with(const struct tls_profile_options *opt)
{
    struct tls_profile *profile = profile_of(opt);
    assert_int_equal(tls_client_new(desk, profile, &client), 0);
    tls_profile_free(profile);
}

static int setup(void **state)
{
    (void)state;
    a = b = (struct side){0};
    server = NULL;
    client = NULL;
    assert_int_equal(loop_new(&(struct loop_options){0}, &loop), 0);
    assert_int_equal(tls_desk_new(loop, &desk), 0);
    assert_int_equal(tls_tickets_new(loop_now_ms(loop), &tickets), 0);
    return 0;
}

static void side_close(struct side *side)
{
    if (side->stream != NULL) {
        stream_close(side->stream);
    }
    free(side->got);
    *side = (struct side){0};
}

static int teardown(void **state)
{
    (void)state;
    side_close(&a);
    side_close(&b);
    tls_server_free(server);
    tls_client_free(client);
    tls_tickets_free(tickets);
    tls_desk_free(desk);
    loop_turn(loop, 0);
    loop_free(loop);
    return 0;
}

static void on_ready(struct stream *stream, unsigned events)
{
    struct side *side = stream->owner;
    size_t cap;
    char *buf = loop_buffer(loop, &cap);
    side->ready |= events;
    if ((events & STREAM_READ) == 0) {
        return;
    }
    side->last = stream_read(stream, buf, cap);
    if (side->last > 0) {
        side->got = realloc(side->got, side->got_len + (size_t)side->last);
        memcpy(side->got + side->got_len, buf, (size_t)side->last);
        side->got_len += (size_t)side->last;
    } else if (side->last != -EAGAIN) {
        stream_want(stream, 0);
    }
}

static void on_done(void *self, struct stream *stream, const struct tls_result *result)
{
    struct side *side = self;
    assert_false(side->done);
    side->done = true;
    side->result = *result;
    snprintf(side->detail, sizeof side->detail, "%s", result->detail);
    if (result->error == TLS_OK) {
        stream->owner = side;
        stream->on_ready = on_ready;
        stream_want(stream, STREAM_READ);
    } else {
        stream_close(stream);
        side->stream = NULL;
    }
}

/* A pair of sockets; each of the two ends is a stream, or a bare descriptor. */
static void sockets(int ret_fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fds),
                     0);
}

static void open_server(int fd)
{
    struct stream *below;
    const struct tls_options opt = {.server = server, .done = on_done, .self = &b};
    assert_int_equal(socket_adopt(loop, fd, &below), 0);
    assert_int_equal(tls_open(desk, &opt, below, &b.stream), 0);
}

static unsigned offered;  /* by one connection, instead of the profile's; 0: the profile's */
static const char *whose; /* the client's connections are */

static void open_client(int fd, const char *host)
{
    struct stream *below;
    const struct tls_options opt = {.client = client,
                                    .host = host,
                                    .port = 443,
                                    .whose = whose,
                                    .offer = offered,
                                    .done = on_done,
                                    .self = &a};
    assert_int_equal(socket_adopt(loop, fd, &below), 0);
    assert_int_equal(tls_open(desk, &opt, below, &a.stream), 0);
    assert_false(a.done); /* never from inside */
}

static void shake_hands(const char *host)
{
    int fds[2];
    side_close(&a), side_close(&b);
    loop_turn(loop, 0); /* making a key of RSA may have taken longer than a handshake may */
    sockets(fds);
    open_server(fds[1]);
    open_client(fds[0], host);
    turn_until(loop, a.done && b.done);
}

static void connect_both(const char *host)
{
    shake_hands(host);
    assert_int_equal(a.result.error, TLS_OK);
    assert_int_equal(b.result.error, TLS_OK);
}

/* A server for one name, and a client that trusts it. */
static void usual_pair(const struct maker *maker, unsigned offer)
{
    const struct tls_identity identity = identity_of(maker);
    serve_with(&(struct tls_profile_options){
        .identities = &identity, .identities_count = 1, .offer = offer});
    call_with(&(struct tls_profile_options){.ca = maker->ca, .offer = offer});
}

static void say(struct side *side, const char *text)
{
    const struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    assert_int_equal(stream_writev(side->stream, &part, 1), part.iov_len);
}

static void bytes_pass_both_ways_and_close_notify_ends_them(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("A.Example.");
    assert_int_equal(a.result.alpn, TLS_ALPN_HTTP1);
    assert_int_equal(b.result.alpn, TLS_ALPN_HTTP1);
    assert_int_equal(tls_alpn_of(b.stream), TLS_ALPN_HTTP1);
    assert_true(stream_is_tls(a.stream));
    assert_string_equal(tls_version_of(a.stream), "TLSv1.3");
    assert_string_equal(tls_server_name(b.stream), "A.Example");
    say(&a, "hello");
    turn_until(loop, b.got_len == 5);
    assert_memory_equal(b.got, "hello", 5);
    char well[] = "well", come[] = "come";
    const struct iovec parts[] = {{well, 0}, {well, 4}, {come, 4}, {come, 0}};
    assert_int_equal(stream_writev(b.stream, parts, 4), 8);
    turn_until(loop, a.got_len == 8);
    assert_memory_equal(a.got, "wellcome", 8);
    assert_int_equal(stream_shutdown(b.stream), 0);
    turn_until(loop, a.last == 0);
    stream_close(a.stream);
    a.stream = NULL;
    turn_until(loop, b.last == 0);
    maker_free(&maker);
}

static void much_passes_through_a_peer_that_reads_slowly(void **state)
{
    (void)state;
    enum { MUCH = 3 << 20 };
    struct maker maker = maker_of(-DAY_S, DAY_S, true, "a.example", NULL);
    char *text = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++) {
        text[i] = (char)(i * 7 + i / 1000);
    }
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("a.example");
    stream_want(b.stream, 0);
    size_t sent = 0;
    ssize_t n;
    struct iovec parts[3];
    do {
        size_t left = MUCH - sent, first = left < 1000 ? left : 1000;
        size_t second = left - first < 20000 ? left - first : 20000;
        parts[0] = (struct iovec){text + sent, first};
        parts[1] = (struct iovec){text + sent + first, second};
        parts[2] = (struct iovec){text + sent + first + second, left - first - second};
        n = stream_writev(a.stream, parts, 3);
        sent += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    assert_int_equal(n, -EAGAIN);
    assert_in_range(sent, 1, MUCH - 1);
    stream_want(a.stream, STREAM_READ | STREAM_WRITE);
    loop_turn(loop, 0);
    assert_int_equal(a.ready & STREAM_WRITE, 0);
    stream_want(b.stream, STREAM_READ);
    while (sent < MUCH) {
        a.ready = 0;
        turn_until(loop, (a.ready & STREAM_WRITE) != 0);
        parts[0] = (struct iovec){text + sent, MUCH - sent};
        n = stream_writev(a.stream, parts, 1);
        assert_true(n > 0 || n == -EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(stream_shutdown(a.stream), 0);
    turn_until(loop, b.last == 0);
    assert_int_equal(b.got_len, MUCH);
    assert_memory_equal(b.got, text, MUCH);
    free(text);
    maker_free(&maker);
}

/* A record is larger than the caller's buffer: the socket has nothing more, we have. */
static void small_on_ready(struct stream *stream, unsigned events)
{
    struct side *side = stream->owner;
    char buf[7];
    (void)events;
    side->last = stream_read(stream, buf, sizeof buf);
    if (side->last > 0) {
        side->got_len += (size_t)side->last;
    }
}

static void a_small_buffer_is_told_of_what_is_left(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    static char text[40000];
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("a.example");
    b.stream->on_ready = small_on_ready;
    const struct iovec part = {text, sizeof text};
    assert_int_equal(stream_writev(a.stream, &part, 1), sizeof text);
    turn_until(loop, b.got_len > 100);
    stream_want(b.stream, 0);
    size_t before = b.got_len;
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    assert_int_equal(b.got_len, before);
    stream_want(b.stream, STREAM_READ);
    turn_until(loop, b.got_len == sizeof text);
    maker_free(&maker);
}

static void tickets_resume_and_rotate(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    uint64_t now_ms = loop_now_ms(loop);
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("a.example");
    assert_false(a.result.resumed);
    /* The ticket lies in the socket: taking it in is no news to the owner. */
    turn_until(loop, a.last == -EAGAIN);
    connect_both("a.example");
    assert_true(a.result.resumed);
    assert_true(b.result.resumed);
    turn_until(loop, a.last == -EAGAIN);
    tls_tickets_tick(tickets, now_ms + TLS_TICKET_ROTATE_MS);
    connect_both("a.example");
    assert_true(a.result.resumed);
    turn_until(loop, a.last == -EAGAIN);
    tls_tickets_tick(tickets, now_ms + 10ULL * TLS_TICKET_ROTATE_MS);
    connect_both("a.example");
    assert_false(a.result.resumed);
    assert_int_equal(tls_counter(&tls_server_counters(server)->handshakes), 4);
    assert_int_equal(tls_counter(&tls_server_counters(server)->resumed), 2);
    assert_int_equal(tls_counter(&tls_client_counters(client)->resumed), 2);
    maker_free(&maker);
}

/* A ticket for one place is not shown at another. */
static void tickets_stay_with_their_origin(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", "b.example");
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("a.example");
    turn_until(loop, a.last == -EAGAIN);
    connect_both("b.example");
    assert_false(a.result.resumed);
    connect_both("a.example");
    assert_true(a.result.resumed);
    maker_free(&maker);
}

/* Nor for somebody else at the same one: it would say that both are one. */
static void tickets_stay_with_whose_they_are(void **state)
{
    (void)state;
    static const char *const turns[] = {"a", "b", "a", NULL, "b", NULL, "ab"};
    static const bool resumed[] = {false, false, true, false, true, true, false};
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    usual_pair(&maker, TLS_OFFER_HTTP1);
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        whose = turns[i];
        connect_both("a.example");
        assert_int_equal(a.result.resumed, resumed[i]);
        turn_until(loop, a.last == -EAGAIN);
    }
    whose = NULL;
    maker_free(&maker);
}

static void the_name_chooses_the_certificate(void **state)
{
    (void)state;
    struct maker exact = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    struct maker wild = maker_of(-DAY_S, DAY_S, true, "*.wild.example", NULL);
    struct maker other = maker_of(-DAY_S, DAY_S, false, "x.wild.example", NULL);
    const struct tls_identity identities[] = {identity_of(&exact), identity_of(&wild),
                                              identity_of(&other)};
    const struct {
        const char *host;
        const struct maker *trusted;
        enum tls_error error;
    } rows[] = {
        {"a.example", &exact, TLS_OK},
        {"b.wild.example", &wild, TLS_OK},
        {"X.WILD.example", &other, TLS_OK},
        {"wild.example", &exact, TLS_WRONG_HOST},
        {"c.b.wild.example", &exact, TLS_WRONG_HOST},
        {"a.example", &wild, TLS_SELF_SIGNED},
    };
    serve_with(&(struct tls_profile_options){
        .identities = identities, .identities_count = 3, .offer = TLS_OFFER_HTTP1});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        call_with(&(struct tls_profile_options){.ca = rows[i].trusted->ca});
        shake_hands(rows[i].host);
        assert_int_equal(a.result.error, rows[i].error);
        side_close(&a);
        side_close(&b);
        tls_client_free(client);
        client = NULL;
    }
    maker_free(&exact);
    maker_free(&wild);
    maker_free(&other);
}

static void refuse(const struct maker *maker, const char *host, enum tls_error error)
{
    usual_pair(maker, TLS_OFFER_HTTP1);
    shake_hands(host);
    assert_int_equal(a.result.error, error);
    assert_int_equal(b.result.error, TLS_REJECTED);
    assert_true(a.detail[0] != '\0');
    assert_int_equal(tls_counter(&tls_client_counters(client)->failed[error]), 1);
    tls_server_free(server);
    tls_client_free(client);
    server = NULL;
    client = NULL;
}

static void bad_certificates_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct maker expired = maker_of(-2 * DAY_S, -DAY_S, false, "a.example", NULL);
    struct maker early = maker_of(DAY_S, 2 * DAY_S, false, "a.example", NULL);
    struct maker good = maker_of(-DAY_S, DAY_S, false, "a.example", "127.0.0.1");
    refuse(&expired, "a.example", TLS_EXPIRED);
    refuse(&early, "a.example", TLS_NOT_YET);
    usual_pair(&good, TLS_OFFER_HTTP1);
    shake_hands("b.example");
    assert_int_equal(a.result.error, TLS_WRONG_HOST);
    shake_hands("127.0.0.2");
    assert_int_equal(a.result.error, TLS_WRONG_HOST);
    connect_both("127.0.0.1");
    assert_string_equal(tls_server_name(b.stream), ""); /* addresses are not sent (RFC 6066 §3) */
    tls_client_free(client);
    call_with(&(struct tls_profile_options){0});
    shake_hands("a.example");
    assert_int_equal(a.result.error, TLS_SELF_SIGNED);
    tls_client_free(client);
    call_with(&(struct tls_profile_options){.unverified = true});
    connect_both("b.example");
    tls_client_free(client);
    call_with(&(struct tls_profile_options){.ca = good.ca, .sni = "a.example"});
    connect_both("10.0.0.1");
    maker_free(&expired);
    maker_free(&early);
    maker_free(&good);
}

static void clients_show_certificates_where_asked(void **state)
{
    (void)state;
    struct maker ours = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    struct maker theirs = maker_of(-DAY_S, DAY_S, false, "client", NULL);
    struct maker strange = maker_of(-DAY_S, DAY_S, false, "client", NULL);
    const struct tls_identity own = identity_of(&ours), good = identity_of(&theirs),
                              bad = identity_of(&strange);
    serve_with(&(struct tls_profile_options){
        .identities = &own, .identities_count = 1, .ca = theirs.ca, .offer = TLS_OFFER_HTTP1});
    call_with(
        &(struct tls_profile_options){.identities = &good, .identities_count = 1, .ca = ours.ca});
    connect_both("a.example");
    tls_client_free(client);
    call_with(&(struct tls_profile_options){.ca = ours.ca});
    shake_hands("a.example");
    assert_int_equal(b.result.error, TLS_NO_CERTIFICATE);
    tls_client_free(client);
    call_with(
        &(struct tls_profile_options){.identities = &bad, .identities_count = 1, .ca = ours.ca});
    shake_hands("a.example");
    assert_true(b.result.error == TLS_SELF_SIGNED || b.result.error == TLS_UNTRUSTED
                || b.result.error == TLS_BAD_CERTIFICATE);
    turn_until(loop, a.last != -EAGAIN && a.last != 0);
    assert_int_equal(a.last, -EPROTO);
    maker_free(&ours);
    maker_free(&theirs);
    maker_free(&strange);
}

static void versions_and_protocols_must_meet(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    const struct tls_identity identity = identity_of(&maker);
    serve_with(&(struct tls_profile_options){.identities = &identity,
                                             .identities_count = 1,
                                             .offer = TLS_OFFER_HTTP1 | TLS_OFFER_H2,
                                             .min_version = TLS_1_3});
    call_with(
        &(struct tls_profile_options){.ca = maker.ca, .offer = TLS_OFFER_HTTP1 | TLS_OFFER_H2});
    connect_both("a.example");
    assert_int_equal(a.result.alpn, TLS_ALPN_H2);
    offered = TLS_OFFER_HTTP1;
    connect_both("a.example");
    assert_int_equal(a.result.alpn, TLS_ALPN_HTTP1);
    offered = 0;
    connect_both("a.example");
    assert_int_equal(a.result.alpn, TLS_ALPN_H2);
    tls_client_free(client);
    call_with(&(struct tls_profile_options){.ca = maker.ca});
    connect_both("a.example");
    assert_int_equal(a.result.alpn, TLS_ALPN_NONE);
    tls_server_free(server);
    serve_with(&(struct tls_profile_options){
        .identities = &identity, .identities_count = 1, .offer = TLS_OFFER_HTTP1});
    tls_client_free(client);
    call_with(&(struct tls_profile_options){.ca = maker.ca, .offer = TLS_OFFER_H2});
    shake_hands("a.example");
    assert_int_equal(a.result.error, TLS_ALPN);
    assert_int_equal(b.result.error, TLS_ALPN);
    maker_free(&maker);
}

/* New connections have the new certificate, old ones go on. */
static void a_certificate_is_replaced_under_way(void **state)
{
    (void)state;
    struct maker first = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    struct maker second = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    const struct tls_identity next = identity_of(&second);
    usual_pair(&first, TLS_OFFER_HTTP1);
    connect_both("a.example");
    struct side old_a = a, old_b = b;
    old_a.stream->owner = &old_a;
    old_b.stream->owner = &old_b;
    a = b = (struct side){0};
    struct tls_profile *profile = profile_of(&(struct tls_profile_options){
        .identities = &next, .identities_count = 1, .offer = TLS_OFFER_HTTP1});
    assert_int_equal(tls_server_swap(server, profile), 0);
    tls_profile_free(profile);
    shake_hands("a.example");
    assert_int_equal(a.result.error, TLS_SELF_SIGNED);
    profile = profile_of(&(struct tls_profile_options){.ca = second.ca});
    assert_int_equal(tls_client_swap(client, profile), 0);
    tls_profile_free(profile);
    connect_both("a.example");
    say(&old_a, "still here");
    turn_until(loop, old_b.got_len == 10);
    side_close(&old_a);
    side_close(&old_b);
    maker_free(&first);
    maker_free(&second);
}

static void files_are_judged(void **state)
{
    (void)state;
    struct maker one = maker_of(-DAY_S, DAY_S, false, "a.example", "127.0.0.1");
    struct maker two = maker_of(-DAY_S, DAY_S, true, "b.example", NULL);
    struct tls_profile *profile;
    struct tls_fault fault;
    struct tls_identity identity = identity_of(&one);
    struct tls_profile_options opt = {.identities = &identity, .identities_count = 1};
    identity.key_text = two.key;
    assert_int_equal(tls_profile_read(&opt, &profile, &fault), -EINVAL);
    assert_ptr_equal(fault.file, identity.key);
    assert_non_null(strstr(fault.text, "does not belong"));
    identity.key_text = "no key";
    assert_int_equal(tls_profile_read(&opt, &profile, &fault), -EINVAL);
    assert_non_null(strstr(fault.text, "no PEM private key"));
    identity = identity_of(&one);
    identity.certificate_text = "nothing";
    assert_int_equal(tls_profile_read(&opt, &profile, &fault), -EINVAL);
    assert_ptr_equal(fault.file, identity.certificate);
    identity = identity_of(&one);
    identity.key_text = NULL;
    identity.key = "/nonexistent/key.pem";
    assert_int_equal(tls_profile_read(&opt, &profile, &fault), -ENOENT);
    assert_ptr_equal(fault.file, identity.key);
    opt = (struct tls_profile_options){.ca = "/nonexistent"};
    assert_int_equal(tls_profile_read(&opt, &profile, &fault), -ENOENT);

    identity = identity_of(&one);
    identity.certificate = one.ca;
    identity.certificate_text = NULL;
    opt = (struct tls_profile_options){.identities = &identity, .identities_count = 1};
    profile = profile_of(&opt);
    struct tls_certificate seen;
    assert_int_equal(tls_profile_certificates(profile), 1);
    tls_profile_certificate(profile, 0, &seen);
    assert_string_equal(seen.name, "a.example");
    assert_null(seen.weakness);
    assert_int_equal(seen.not_after_s - seen.not_before_s, 2 * DAY_S);
    assert_false(tls_profile_is_outdated(profile));
    assert_int_equal(truncate(one.ca, 1), 0);
    assert_true(tls_profile_is_outdated(profile));
    struct tls_profile_options bare = {0}, checked = {.ca = two.ca}, unverified = {.unverified = 1},
                               sni = {.sni = "x"}, h2 = {.offer = TLS_OFFER_H2};
    const struct tls_profile_options *others[] = {&bare, &checked, &unverified, &sni, &h2};
    struct tls_profile *profiles[5];
    for (int i = 0; i < 5; i++) {
        profiles[i] = profile_of(others[i]);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(tls_profile_fingerprint(profiles[i]),
                                    tls_profile_fingerprint(profiles[j]));
        }
    }
    struct tls_profile *again = profile_of(&checked);
    assert_string_equal(tls_profile_fingerprint(again), tls_profile_fingerprint(profiles[1]));
    tls_profile_free(again);
    for (int i = 0; i < 5; i++) {
        tls_profile_free(profiles[i]);
    }
    tls_profile_free(profile);
    maker_free(&one);
    maker_free(&two);
}

/* --- peers that do not keep to it --------------------------------------------------------------
 */

/* Everything that passes between the two, a byte at a time, in records' own order. */
static void one_byte_at_a_time_is_fine(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    int near[2], far[2];
    char byte;
    usual_pair(&maker, TLS_OFFER_HTTP1);
    sockets(near);
    sockets(far);
    open_server(far[1]);
    open_client(near[0], "a.example");
    uint64_t end_ms = clock_now_ms() + TURNS_DEADLINE_MS;
    bool said = false;
    while (b.got_len < 5 && clock_now_ms() < end_ms) {
        if (read(near[1], &byte, 1) == 1) {
            assert_int_equal(write(far[0], &byte, 1), 1);
        }
        if (read(far[0], &byte, 1) == 1) {
            assert_int_equal(write(near[1], &byte, 1), 1);
        }
        loop_turn(loop, 0);
        if (a.done && !said) {
            say(&a, "hello");
            said = true;
        }
    }
    assert_int_equal(b.got_len, 5);
    shutdown(far[0], SHUT_WR);
    turn_until(loop, b.last == -EPROTO); /* no close_notify: a cut */
    close(near[1]);
    close(far[0]);
    maker_free(&maker);
}

static void a_silent_close_looks_cut(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("a.example");
    turn_until(loop, a.last == -EAGAIN); /* it has the ticket: nothing unread is left there */
    tls_close_silently(a.stream);
    stream_close(a.stream);
    a.stream = NULL;
    b.last = -EAGAIN;
    turn_until(loop, b.last != -EAGAIN);
    assert_int_equal(b.last, -EPROTO);
    assert_int_equal(stream_read(b.stream, &b.ready, 1), -EPROTO); /* and stays so */
    maker_free(&maker);
}

static void shake_with(const void *bytes, size_t len, bool closes)
{
    int fds[2];
    side_close(&b);
    sockets(fds);
    open_server(fds[1]);
    assert_int_equal(write(fds[0], bytes, len), len);
    if (closes) {
        close(fds[0]);
    }
    turn_until(loop, b.done);
    if (!closes) {
        close(fds[0]);
    }
}

static void what_is_not_tls_is_told_apart(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char noise[] = "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6";
    static const char partial[] = "\x16\x03\x01\x02\x00\x01";
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    usual_pair(&maker, TLS_OFFER_HTTP1);
    shake_with(request, sizeof request - 1, false);
    assert_int_equal(b.result.error, TLS_NOT_TLS);
    assert_true(b.result.is_http);
    shake_with(noise, sizeof noise - 1, false);
    assert_int_equal(b.result.error, TLS_NOT_TLS);
    assert_false(b.result.is_http);
    shake_with(partial, sizeof partial - 1, true);
    assert_int_equal(b.result.error, TLS_CLOSED);
    shake_with("", 0, true);
    assert_int_equal(b.result.error, TLS_CLOSED);
    maker_free(&maker);
}

static void a_handshake_has_a_deadline(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    struct stream *below;
    int fds[2];
    usual_pair(&maker, TLS_OFFER_HTTP1);
    sockets(fds);
    const struct tls_options opt = {
        .server = server, .timeout_ms = 20, .done = on_done, .self = &b};
    assert_int_equal(socket_adopt(loop, fds[1], &below), 0);
    assert_int_equal(tls_open(desk, &opt, below, &b.stream), 0);
    turn_until(loop, b.done);
    assert_int_equal(b.result.error, TLS_TIMEOUT);
    assert_int_equal(tls_counter(&tls_server_counters(server)->failed[TLS_TIMEOUT]), 1);
    close(fds[0]);
    sockets(fds);
    open_client(fds[0], "a.example"); /* closed in the middle: done() is not called */
    stream_close(a.stream);
    a.stream = NULL;
    loop_turn(loop, 0);
    assert_false(a.done);
    close(fds[1]);
    maker_free(&maker);
}

/* TLS through TLS, as through a proxy that is reached by it. */
static void tls_goes_through_tls(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("a.example");
    struct stream *outer_a = a.stream, *outer_b = b.stream;
    a = b = (struct side){0};
    const struct tls_options serves = {.server = server, .done = on_done, .self = &b};
    const struct tls_options calls = {
        .client = client, .host = "a.example", .port = 1, .done = on_done, .self = &a};
    assert_int_equal(tls_open(desk, &serves, outer_b, &b.stream), 0);
    assert_int_equal(tls_open(desk, &calls, outer_a, &a.stream), 0);
    turn_until(loop, a.done && b.done);
    assert_int_equal(a.result.error, TLS_OK);
    say(&a, "deep");
    turn_until(loop, b.got_len == 4);
    maker_free(&maker);
}

/* --- memory that is refused --------------------------------------------------------------------
 */

static _Thread_local uint64_t refuse_at, asked; /* 0: nothing is refused */

static bool is_refused(void)
{
    return refuse_at != 0 && ++asked == refuse_at;
}

static void *library_alloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : malloc(size);
}

static void *library_resize(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : realloc(old, size);
}

static void library_free(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    free(old);
}

/* A handshake and a word, with one allocation of OpenSSL's refused: it fails or it works, and gives
 * everything back. */
static void try_once(void)
{
    int fds[2];
    struct stream *below;
    const struct tls_options serves = {.server = server, .done = on_done, .self = &b};
    const struct tls_options calls = {
        .client = client, .host = "a.example", .port = 443, .done = on_done, .self = &a};
    sockets(fds);
    assert_int_equal(socket_adopt(loop, fds[1], &below), 0);
    if (tls_open(desk, &serves, below, &b.stream) != 0) {
        b = (struct side){.done = true};
        close(fds[0]);
        return;
    }
    assert_int_equal(socket_adopt(loop, fds[0], &below), 0);
    if (tls_open(desk, &calls, below, &a.stream) != 0) {
        a = (struct side){.done = true};
    }
    turn_until(loop, a.done && b.done);
    if (a.stream != NULL && b.stream != NULL) {
        char word[] = "word";
        const struct iovec part = {word, 4};
        stream_writev(a.stream, &part, 1);
        loop_turn(loop, 0);
    }
}

static void refused_memory_is_survived(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    usual_pair(&maker, TLS_OFFER_HTTP1);
    connect_both("a.example");
    side_close(&a);
    side_close(&b);
    uint32_t failed = 0;
    bool is_over = false;
    for (uint64_t n = 1; !is_over; n += n < 300 ? 1 : 13) {
        refuse_at = n;
        asked = 0;
        try_once();
        is_over = asked < n;
        refuse_at = 0;
        failed += a.result.error != TLS_OK || b.result.error != TLS_OK || a.stream == NULL;
        side_close(&a);
        side_close(&b);
        loop_turn(loop, 0);
    }
    assert_in_range(failed, 100, 10000);
    connect_both("a.example");
    maker_free(&maker);
}

static void our_memory_may_be_refused_too(const struct alloc *alloc, void *arg)
{
    const struct tls_profile_options *opts = arg;
    struct loop *own;
    struct tls_desk *own_desk;
    struct stream *below;
    int fds[2];
    struct side side = {0};
    if (loop_new(&(struct loop_options){.alloc = alloc}, &own) != 0) {
        return;
    }
    struct tls_profile *profile = profile_of(opts);
    struct tls_server *own_server;
    assert_int_equal(tls_desk_new(own, &own_desk), 0);
    assert_int_equal(tls_server_new(own_desk, profile, NULL, &own_server), 0);
    tls_profile_free(profile);
    sockets(fds);
    const struct tls_options opt = {.server = own_server, .done = on_done, .self = &side};
    if (socket_adopt(own, fds[1], &below) == 0
        && tls_open(own_desk, &opt, below, &side.stream) == 0) {
        assert_int_equal(write(fds[0], "GET / HTTP/1.1\r\n\r\n", 18), 18);
        turn_until(own, side.done);
    }
    close(fds[0]);
    tls_server_free(own_server);
    tls_desk_free(own_desk);
    loop_turn(own, 0);
    loop_free(own);
}

static void an_allocator_that_refuses(void **state)
{
    (void)state;
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "a.example", NULL);
    const struct tls_identity identity = identity_of(&maker);
    struct tls_profile_options opt = {.identities = &identity, .identities_count = 1};
    torture(our_memory_may_be_refused_too, &opt);
    maker_free(&maker);
}

int main(void)
{
    /* Before OpenSSL has any. */
    if (CRYPTO_set_mem_functions(library_alloc, library_resize, library_free) != 1) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(bytes_pass_both_ways_and_close_notify_ends_them),
        TEST(much_passes_through_a_peer_that_reads_slowly),
        TEST(a_small_buffer_is_told_of_what_is_left),
        TEST(tickets_resume_and_rotate),
        TEST(tickets_stay_with_their_origin),
        TEST(tickets_stay_with_whose_they_are),
        TEST(the_name_chooses_the_certificate),
        TEST(bad_certificates_are_refused_with_a_reason),
        TEST(clients_show_certificates_where_asked),
        TEST(versions_and_protocols_must_meet),
        TEST(a_certificate_is_replaced_under_way),
        TEST(files_are_judged),
        TEST(one_byte_at_a_time_is_fine),
        TEST(a_silent_close_looks_cut),
        TEST(what_is_not_tls_is_told_apart),
        TEST(a_handshake_has_a_deadline),
        TEST(tls_goes_through_tls),
        TEST(refused_memory_is_survived),
        TEST(an_allocator_that_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
