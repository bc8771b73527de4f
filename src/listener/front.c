/* SPDX-License-Identifier: Apache-2.0
 *
 * A client in its handshake, or before it, while its PROXY header is awaited, is a `struct
 * shaking`; afterwards the front knows none. A header is looked at where it lies and taken when it
 * is complete, so that TLS, or a reader, finds the stream as if there had been none.
 *
 * Readers say that they have drained while a handshake still goes on, whose client they get later:
 * then they are told to drain once more, with what is left of the time.
 */
#include "listener/front.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/list.h"
#include "io/socket.h"
#include "listener/guest.h"
#include "proto/proxy_protocol.h"

#include <errno.h>
#include <string.h>

#define REFUSALS_MAX       64U /* handshakes under way only to say that there is no place, */
#define REFUSALS_SHORT_MAX 16U /* and where each takes of the last descriptors */

struct shaking {
    struct node on_list; /* front->handshakes */
    struct front *front;
    struct stream *stream;
    struct front_client client;
    struct loop_timer timer; /* of its PROXY header */
    uint32_t seen;           /* bytes of that, so far */
};

/* One of the two readers. */
struct reading_side {
    struct front *front;
    struct front_reader reader; /* serve NULL: there is none */
    bool is_drained;
};

struct front {
    struct loop *loop;
    struct front_options opt;
    weir_pool *pool;
    struct accept_door *door;
    struct reading_side http1, http2;
    struct list handshakes;
    uint32_t refusals; /* of these */
    struct front_counters counters;

    bool is_draining;
    uint64_t drain_until_ms; /* UINT64_MAX: no end */
    uint64_t spread_until_ms;
    uint32_t patience_ms;
    struct loop_timer drain_timer;
    struct loop_later drained;
    void (*on_drained)(void *arg);
    void *drained_arg;
};

static void door_serves(void *self, const struct accept_client *accepted);
static void door_refuses(void *self, const struct accept_client *accepted, enum accept_refusal why);
static void header_late(struct loop_timer *timer, uint64_t now_ms);
static void drain_fires(struct loop_timer *timer, uint64_t now_ms);
static void drain_ends(struct loop_later *later);
static void drain_look(struct front *front);

/* --- opening and closing ------------------------------------------------------------------------
 */

int front_new(struct loop *loop, const struct front_options *opt, struct front **ret_front)
{
    struct front *front = alloc_zeroed(loop_alloc(loop), sizeof *front);
    if (front == NULL) {
        return -ENOMEM;
    }
    front->loop = loop;
    front->opt = *opt;
    front->http1.front = front->http2.front = front;
    front->drain_timer.fire = drain_fires;
    front->drained.run = drain_ends;
    list_init(&front->handshakes);
    int error = guest_pool_open(opt->engine, opt->name, opt->max_connections, &front->pool);
    if (error != 0) {
        alloc_free(loop_alloc(loop), front);
        return error;
    }
    *ret_front = front;
    return 0;
}

void front_read_with(struct front *front, const struct front_reader *http1,
                     const struct front_reader *http2)
{
    check(front->door == NULL);
    front->http1.reader = *http1;
    if (http2 != NULL) {
        front->http2.reader = *http2;
    }
}

int front_accept(struct front *front, struct accept_port *port, uint32_t worker,
                 front_post_fn *post, void *post_self)
{
    const struct accept_ops ops = {
        .serve = door_serves,
        .refuse = door_refuses,
        .self = front,
        .post = post,
        .post_self = post_self,
    };
    check(front->http1.reader.serve != NULL);
    return accept_door_open(port, front->loop, worker, &ops, &front->door);
}

void front_update(struct front *front, const struct front_options *opt)
{
    struct front_options *own = &front->opt;
    own->name = opt->name;
    own->desk = opt->desk;
    own->tls = opt->tls;
    own->tls_timeout_ms = opt->tls_timeout_ms;
    own->header = opt->header;
    own->header_timeout_ms = opt->header_timeout_ms;
    own->trusts = opt->trusts;
    own->trusts_self = opt->trusts_self;
    own->tells_ends = opt->tells_ends;
}

struct accept_door *front_door(const struct front *front)
{
    return front->door;
}

static void shaking_end(struct shaking *shaking)
{
    struct front *front = shaking->front;
    loop_timer_stop(front->loop, &shaking->timer);
    list_remove(&front->handshakes, &shaking->on_list);
    if (!shaking->client.is_seated) {
        front->refusals--;
    }
    alloc_free(loop_alloc(front->loop), shaking);
}

/* Closed without a word: it never became a client. */
static void shaking_cut(struct shaking *shaking)
{
    struct front *front = shaking->front;
    stream_close(shaking->stream);
    if (shaking->client.is_seated) {
        front_leave(front, shaking->client.address);
    }
    shaking_end(shaking);
}

static void cut_handshakes(struct front *front)
{
    for (struct node *it; (it = list_first(&front->handshakes)) != NULL;) {
        shaking_cut(list_entry(it, struct shaking, on_list));
    }
}

void front_shut(struct front *front)
{
    if (front->door != NULL) {
        accept_door_shut(front->door);
    }
    cut_handshakes(front);
    loop_timer_stop(front->loop, &front->drain_timer);
    loop_later_cancel(front->loop, &front->drained);
}

void front_free(struct front *take_front)
{
    front_shut(take_front);
    if (take_front->door != NULL) {
        accept_door_close(take_front->door);
    }
    weir_pool_close(take_front->pool, 0);
    alloc_free(loop_alloc(take_front->loop), take_front);
}

/* --- clients come -------------------------------------------------------------------------------
 */

static uint32_t drain_left_ms(const struct front *front)
{
    uint64_t now_ms = loop_now_ms(front->loop);
    if (front->drain_until_ms == UINT64_MAX) {
        return WEIR_NEVER;
    }
    return front->drain_until_ms > now_ms ? (uint32_t)(front->drain_until_ms - now_ms) : 0;
}

static uint32_t spread_left_ms(const struct front *front)
{
    uint64_t now_ms = loop_now_ms(front->loop);
    return front->spread_until_ms > now_ms ? (uint32_t)(front->spread_until_ms - now_ms) : 0;
}

static void side_drained(void *arg)
{
    struct reading_side *side = arg;
    side->is_drained = true;
    drain_look(side->front);
}

static void side_drain(struct reading_side *side)
{
    side->is_drained = side->reader.serve == NULL;
    if (!side->is_drained) {
        const struct drain_time time = {.grace_ms = drain_left_ms(side->front),
                                        .spread_ms = spread_left_ms(side->front),
                                        .patience_ms = side->front->patience_ms};
        side->reader.drain(side->reader.self, time, side_drained, side);
    }
}

static void side_serve(struct reading_side *side, struct stream *take_stream,
                       const struct front_client *client)
{
    side->reader.serve(side->reader.self, take_stream, client);
    if (side->front->is_draining) {
        side_drain(side);
    }
}

/* Whoever asks in plain HTTP gets an answer that its program can show. */
static void answer_plainly(struct stream *below)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
        "Content-Length: 84\r\n\r\n"
        "{\"error\":{\"code\":\"tls_required\",\"message\":\"This port speaks HTTPS: use "
        "https://.\"}}\n";
    const struct iovec part = {(void *)(uintptr_t)answer, sizeof answer - 1};
    stream_writev(below, &part, 1); /* or not: it is a courtesy */
}

static void on_handshake(void *self, struct stream *stream, const struct tls_result *result)
{
    struct shaking *shaking = self;
    struct front *front = shaking->front;
    struct front_client client = shaking->client;
    if (result->error != TLS_OK) {
        if (front->opt.on_tls_failed != NULL) {
            front->opt.on_tls_failed(front->opt.self, client.address, result);
        }
        if (result->is_http) {
            answer_plainly(stream->below);
        }
        shaking_cut(shaking);
    } else {
        shaking_end(shaking);
        client.server_name = tls_server_name(stream);
        bool is_http2 = result->alpn == TLS_ALPN_H2 && front_has_http2(front);
        side_serve(is_http2 ? &front->http2 : &front->http1, stream, &client);
    }
    drain_look(front);
}

static bool is_crowded(const struct front *front, const struct front_client *client)
{
    uint32_t most = client->why == ACCEPT_SHORT ? REFUSALS_SHORT_MAX : REFUSALS_MAX;
    return !client->is_seated && front->refusals >= most;
}

/* A record for one that is not served yet; NULL: there is no place for it. */
static struct shaking *shaking_begin(struct front *front, const struct front_client *client)
{
    struct shaking *shaking = is_crowded(front, client)
                                  ? NULL
                                  : alloc_zeroed(loop_alloc(front->loop), sizeof *shaking);
    if (shaking == NULL) {
        return NULL;
    }
    shaking->front = front;
    shaking->client = *client;
    shaking->timer.fire = header_late;
    front->refusals += !client->is_seated;
    list_push_back(&front->handshakes, &shaking->on_list);
    return shaking;
}

/* Takes the stream in any case; false: it is closed. */
static bool shake_hands(struct front *front, struct stream *take_stream,
                        const struct front_client *client)
{
    struct shaking *shaking = shaking_begin(front, client);
    if (shaking == NULL) {
        stream_close(take_stream);
        return false;
    }
    const struct tls_options opt = {
        .server = front->opt.tls,
        .timeout_ms = front->opt.tls_timeout_ms,
        .done = on_handshake,
        .self = shaking,
    };
    if (tls_open(front->opt.desk, &opt, take_stream, &shaking->stream) != 0) {
        shaking_end(shaking);
        return false;
    }
    return true;
}

/* Nothing is said before TLS, or a request, any more. False: it is closed. */
static bool serve(struct front *front, struct stream *take_stream,
                  const struct front_client *client)
{
    if (front->opt.tls != NULL) {
        return shake_hands(front, take_stream, client);
    }
    side_serve(&front->http1, take_stream, client);
    return true;
}

/* --- who it is from -----------------------------------------------------------------------------
 */

static void tally(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void header_late(struct loop_timer *timer, uint64_t now_ms)
{
    struct shaking *shaking = container_of(timer, struct shaking, timer);
    struct front *front = shaking->front;
    (void)now_ms;
    tally(&front->counters.timeout);
    shaking_cut(shaking);
    drain_look(front);
}

static void header_over(struct shaking *shaking)
{
    struct front *front = shaking->front;
    struct front_client client = shaking->client;
    struct stream *stream = shaking->stream;
    stream_want(stream, 0);
    stream->on_ready = NULL;
    stream->owner = NULL;
    shaking_end(shaking);
    if (!serve(front, stream, &client) && client.is_seated) {
        front_leave(front, client.address);
    }
    drain_look(front);
}

static void address_of_end(const struct proxy_end *end, bool is_ipv4, uint8_t ret[16])
{
    struct ip ip = {.family = is_ipv4 ? AF_INET : AF_INET6};
    memcpy(ip.bytes, end->address, is_ipv4 ? 4 : 16);
    ip_map(&ip, ret);
}

/* It is that client from now on; one too many of it has no seat any more. */
static void header_obey(struct shaking *shaking, const struct proxy_header *header)
{
    struct front *front = shaking->front;
    struct front_client *client = &shaking->client;
    uint8_t named[16];
    if (header->family == PROXY_LOCAL) {
        tally(&front->counters.local);
        return;
    }
    tally(&front->counters.named);
    address_of_end(&header->from, header->family == PROXY_IPV4, named);
    address_of_end(&header->to, header->family == PROXY_IPV4, client->ends.to);
    client->ends.from_port = header->from.port;
    client->ends.to_port = header->to.port;
    if (client->is_seated && !accept_rename(front->door, client->address, named)) {
        front_leave(front, client->address);
        client->is_seated = false;
        client->why = ACCEPT_PER_IP;
        front->refusals++;
    }
    memcpy(client->address, named, sizeof client->address);
}

static void header_refused(struct shaking *shaking)
{
    struct front *front = shaking->front;
    tally(&front->counters.bad);
    shaking_cut(shaking);
    drain_look(front);
}

static void header_ready(struct stream *stream, unsigned events)
{
    struct shaking *shaking = stream->owner;
    struct front *front = shaking->front;
    struct proxy_header header;
    char buf[PROXY_HEADER_MAX];
    (void)events;
    ssize_t there = socket_peek(stream, buf, sizeof buf);
    if (there == -EAGAIN) {
        return;
    }
    ssize_t len = there > 0 ? proxy_header_read(buf, (size_t)there, &header) : -1;
    if (len == 0 && (uint32_t)there > shaking->seen) {
        shaking->seen = (uint32_t)there;
        socket_await(stream, shaking->seen + 1);
        return;
    }
    if (shaking->seen > 0) {
        socket_await(stream, 1);
    }
    if (len > 0 && stream_read(stream, buf, (size_t)len) == len) {
        header_obey(shaking, &header);
        header_over(shaking);
    } else if (len < 0 && there > 0 && front->opt.header == FRONT_HEADER_ACCEPT) {
        tally(&front->counters.none);
        header_over(shaking);
    } else {
        header_refused(shaking);
    }
}

static bool header_await(struct front *front, struct stream *take_stream,
                         const struct front_client *client)
{
    struct shaking *shaking = shaking_begin(front, client);
    if (shaking == NULL) {
        stream_close(take_stream);
        return false;
    }
    shaking->stream = take_stream;
    take_stream->owner = shaking;
    take_stream->on_ready = header_ready;
    stream_want(take_stream, STREAM_READ);
    loop_timer_set(front->loop, &shaking->timer,
                   loop_now_ms(front->loop) + front->opt.header_timeout_ms);
    return true;
}

/* --- at the door --------------------------------------------------------------------------------
 */

static void reach(struct stream *stream, struct front_client *client)
{
    struct address here;
    struct ip ip;
    if (socket_local(stream, &here) != 0 || !address_ip(&here, &ip)) {
        return;
    }
    ip_map(&ip, client->ends.to);
    client->ends.to_port = address_port(&here);
}

/* False: it could not be taken, and its descriptor is closed. */
static bool come_in(struct front *front, int take_fd, struct front_client *client)
{
    struct stream *stream;
    if (socket_adopt(front->loop, take_fd, &stream) != 0) {
        return false;
    }
    if (front->opt.tells_ends) {
        reach(stream, client);
    }
    if (front->opt.header == FRONT_HEADER_OFF) {
        return serve(front, stream, client);
    }
    if (front->opt.trusts(front->opt.trusts_self, client->address)) {
        return header_await(front, stream, client);
    }
    if (front->opt.header == FRONT_HEADER_ACCEPT) {
        return serve(front, stream, client);
    }
    tally(&front->counters.untrusted);
    stream_close(stream);
    return false;
}

static struct front_client client_of(const struct front *front,
                                     const struct accept_client *accepted)
{
    struct front_client client = {
        .is_tls = front->opt.tls != NULL, .server_name = "", .ends.from_port = accepted->port};
    memcpy(client.address, accepted->address, sizeof client.address);
    return client;
}

static void door_serves(void *self, const struct accept_client *accepted)
{
    struct front *front = self;
    struct front_client client = client_of(front, accepted);
    client.is_seated = true;
    if (!come_in(front, accepted->fd, &client)) {
        front_leave(front, accepted->address);
    }
}

static void door_refuses(void *self, const struct accept_client *accepted, enum accept_refusal why)
{
    struct front *front = self;
    struct front_client client = client_of(front, accepted);
    client.why = why;
    come_in(front, accepted->fd, &client);
}

void front_bring(struct front *front, int take_fd, const struct address *peer)
{
    accept_door_bring(front->door, take_fd, peer);
}

void front_leave(struct front *front, const uint8_t address[16])
{
    accept_leave(front->door, address);
}

void front_hand_on(struct front *front, struct stream *take_stream,
                   const struct front_client *client)
{
    check(front_has_http2(front));
    side_serve(&front->http2, take_stream, client);
}

/* --- draining -----------------------------------------------------------------------------------
 */

static void drain_look(struct front *front)
{
    if (front->on_drained != NULL && front->http1.is_drained && front->http2.is_drained
        && list_is_empty(&front->handshakes)) {
        loop_later(front->loop, &front->drained);
    }
}

static void drain_ends(struct loop_later *later)
{
    struct front *front = container_of(later, struct front, drained);
    void (*on_drained)(void *arg) = front->on_drained;
    bool is_over = front->http1.is_drained && front->http2.is_drained
                   && list_is_empty(&front->handshakes);
    if (is_over && on_drained != NULL) {
        front->on_drained = NULL;
        loop_timer_stop(front->loop, &front->drain_timer);
        on_drained(front->drained_arg);
    }
}

static void drain_fires(struct loop_timer *timer, uint64_t now_ms)
{
    struct front *front = container_of(timer, struct front, drain_timer);
    (void)now_ms;
    cut_handshakes(front);
    drain_look(front);
}

void front_pause(struct front *front)
{
    if (front->door != NULL) {
        accept_door_pause(front->door);
    }
}

void front_resume(struct front *front)
{
    if (front->door != NULL) {
        accept_door_resume(front->door);
    }
}

void front_shut_door(struct front *front)
{
    if (front->door != NULL) {
        accept_door_shut(front->door);
    }
}

void front_drain(struct front *front, struct drain_time time, void (*on_drained)(void *arg),
                 void *arg)
{
    uint64_t now_ms = loop_now_ms(front->loop);
    front->is_draining = true;
    front->drain_until_ms = time.grace_ms != WEIR_NEVER ? now_ms + time.grace_ms : UINT64_MAX;
    front->spread_until_ms = now_ms + time.spread_ms;
    front->patience_ms = time.patience_ms;
    front->on_drained = on_drained;
    front->drained_arg = arg;
    if (front->door != NULL) {
        accept_door_shut_last(front->door);
    }
    side_drain(&front->http1);
    side_drain(&front->http2);
    if (time.grace_ms != WEIR_NEVER) {
        loop_timer_set(front->loop, &front->drain_timer, front->drain_until_ms);
    }
    drain_look(front);
}

/* --- when there is not enough for all -----------------------------------------------------------
 */

void front_shorten(struct front *front, bool is_short)
{
    const struct reading_side *sides[] = {&front->http1, &front->http2};
    for (unsigned i = 0; i < 2; i++) {
        if (sides[i]->reader.shorten != NULL) {
            sides[i]->reader.shorten(sides[i]->reader.self, is_short);
        }
    }
}

void front_offer_idle(struct front *front, struct idlers *idlers)
{
    const struct reading_side *sides[] = {&front->http1, &front->http2};
    for (unsigned i = 0; i < 2; i++) {
        if (sides[i]->reader.offer_idle != NULL) {
            sides[i]->reader.offer_idle(sides[i]->reader.self, idlers);
        }
    }
}

void front_pace(struct front *front, uint32_t clients)
{
    accept_door_pace(front->door, clients);
}

/* --- looking in ---------------------------------------------------------------------------------
 */

weir_pool *front_pool(const struct front *front)
{
    return front->pool;
}

bool front_has_http2(const struct front *front)
{
    return front->http2.reader.serve != NULL;
}

const struct front_counters *front_counters(const struct front *front)
{
    return &front->counters;
}
