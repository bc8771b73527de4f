/* SPDX-License-Identifier: Apache-2.0
 *
 * Three counts go by a port: of all seats, of the seats at each worker (both plain atomics), and of
 * the seats of each address, behind a lock that only ports with max_per_ip ever take. They are
 * taken in that order and given back together.
 */
#include "listener/accept.h"

#include "base/check.h"
#include "base/map.h"
#include "base/slots.h"
#include "io/listen.h"
#include "io/socket.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

typedef bool exempts_fn(const void *self, const uint8_t address[16]);

/* The clients of one address. */
struct crowd {
    uint8_t address[16];
    uint32_t count;
};

struct crowds {
    pthread_mutex_t lock;
    struct map by_address;
    struct slots slots;
    uint64_t seed; /* peers choose addresses: they shall not choose buckets */
};

/* Far enough apart not to share a cache line. */
struct seat {
    _Atomic(struct accept_door *) door; /* NULL: shut */
    _Atomic uint32_t taken;
    atomic_bool is_paced; /* takes only what comes through its own door */
    char apart[48];
};

struct accept_port {
    const struct alloc *alloc;
    int fd;
    bool is_given; /* to another process as well */
    struct address address;
    int next_fd;      /* -1: it is bound to one address alone */
    bool is_followed; /* others are bound where it is, who take its clients once it does not */
    struct address next_address;
    _Atomic uint32_t max_connections, max_per_ip;
    _Atomic uint32_t sockets_most;
    atomic_bool is_short;
    uint32_t reserve;
    bool counts_addresses;
    _Atomic(exempts_fn *) exempts;
    _Atomic(const void *) exempts_self;
    struct crowds crowds;   /* in use where addresses are counted */
    _Atomic uint32_t doors; /* all seats at and above were never opened */
    char apart[60];
    _Atomic uint32_t taken;
    struct seat seats[ACCEPT_DOORS_MAX];
};

struct accept_door {
    struct accept_port *port;
    struct loop *loop;
    struct intake *intake; /* NULL: shut */
    struct intake *next;   /* at the other address, and held; NULL: there is none */
    struct accept_ops ops;
    uint32_t worker;
    uint32_t clients_left; /* to be taken; UINT32_MAX: all that come */
    bool is_paused;        /* whatever the pace */
    bool leaving;          /* what it still accepts stays here: others are leaving, too */
};

/* A client on its way to another worker. */
struct parcel {
    struct accept_door *to;
    struct accept_client client;
};

/* --- addresses --------------------------------------------------------------------------------
 */

static bool crowd_is(const void *value, const void *key)
{
    return memcmp(((const struct crowd *)value)->address, key, 16) == 0;
}

static uint64_t crowd_hash(const struct crowds *crowds, const uint8_t address[16])
{
    return XXH3_64bits_withSeed(address, 16, crowds->seed);
}

static bool crowds_init(struct crowds *crowds, const struct alloc *alloc, uint32_t capacity)
{
    if (getrandom(&crowds->seed, sizeof crowds->seed, GRND_NONBLOCK) < 0) {
        crowds->seed = (uint64_t)(uintptr_t)crowds;
    }
    if (!map_init(&crowds->by_address, alloc, capacity)) {
        return false;
    }
    if (!slots_init(&crowds->slots, alloc, sizeof(struct crowd), capacity)) {
        map_fini(&crowds->by_address);
        return false;
    }
    pthread_mutex_init(&crowds->lock, NULL);
    return true;
}

static void crowds_fini(struct crowds *crowds)
{
    map_fini(&crowds->by_address);
    slots_fini(&crowds->slots);
    pthread_mutex_destroy(&crowds->lock);
}

static struct crowd *crowd_new(struct crowds *crowds, uint64_t hash, const uint8_t address[16])
{
    uint64_t id;
    struct crowd *crowd = slots_take(&crowds->slots, &id);
    if (crowd == NULL) {
        return NULL;
    }
    memcpy(crowd->address, address, 16);
    if (!map_put(&crowds->by_address, hash, crowd)) {
        slots_give(&crowds->slots, id);
        return NULL;
    }
    return crowd;
}

static bool crowds_enter(struct crowds *crowds, const uint8_t address[16], uint32_t most)
{
    uint64_t hash = crowd_hash(crowds, address);
    bool entered = false;
    pthread_mutex_lock(&crowds->lock);
    struct crowd *crowd = map_find(&crowds->by_address, hash, crowd_is, address);
    if (crowd == NULL) {
        crowd = crowd_new(crowds, hash, address);
    }
    if (crowd != NULL && crowd->count < most) {
        crowd->count++;
        entered = true;
    }
    pthread_mutex_unlock(&crowds->lock);
    return entered;
}

static void crowds_leave(struct crowds *crowds, const uint8_t address[16])
{
    uint64_t hash = crowd_hash(crowds, address);
    pthread_mutex_lock(&crowds->lock);
    struct crowd *crowd = map_find(&crowds->by_address, hash, crowd_is, address);
    check(crowd != NULL && crowd->count > 0);
    if (--crowd->count == 0) {
        map_remove(&crowds->by_address, hash, crowd);
        slots_give(&crowds->slots, slots_id_of(&crowds->slots, crowd));
    }
    pthread_mutex_unlock(&crowds->lock);
}

/* --- the port -----------------------------------------------------------------------------------
 */

/* What was to be taken, where nothing comes of it. */
static void forgo(const struct accept_options *opt)
{
    if (opt->take_fd != 0) {
        close(opt->take_fd);
    }
}

/* Beside others only where that is needed, and only while it is opened: nobody else shall. */
static int open_fd(const struct address *address, bool is_beside, int *ret_fd,
                   struct address *ret_bound)
{
    const struct listen_options beside = {.reuse_port = true};
    int err = listen_open(address, NULL, ret_fd, ret_bound);
    if (err == -EADDRINUSE && is_beside && address_is_ip(address)) {
        err = listen_open(address, &beside, ret_fd, ret_bound);
        if (err == 0) {
            listen_share(*ret_fd, false);
        }
    }
    return err;
}

static int open_socket(struct accept_port *port, const struct accept_options *opt)
{
    if (opt->take_fd == 0) {
        return open_fd(&opt->address, opt->is_beside, &port->fd, &port->address);
    }
    port->fd = opt->take_fd;
    int err = listen_adopt(port->fd, &port->address);
    if (err != 0) {
        close(port->fd);
    }
    return err;
}

int accept_port_open(const struct accept_options *opt, struct accept_port **ret_port)
{
    const struct alloc *alloc = opt->alloc != NULL ? opt->alloc : &alloc_libc;
    struct accept_port *port = alloc_zeroed(alloc, sizeof *port);
    if (port == NULL) {
        forgo(opt);
        return -ENOMEM;
    }
    port->alloc = alloc;
    port->max_connections = opt->max_connections;
    port->max_per_ip = opt->max_per_ip;
    port->sockets_most = UINT32_MAX;
    port->reserve = opt->reserve;
    port->next_fd = -1;
    accept_port_exempt(port, opt->exempts, opt->exempts_self);
    port->counts_addresses = opt->max_per_ip > 0 || opt->counts_addresses;
    if (port->counts_addresses) {
        bool is_final = !opt->counts_addresses && opt->max_connections < ACCEPT_ADDRESSES_MAX;
        uint32_t capacity = is_final ? opt->max_connections : ACCEPT_ADDRESSES_MAX;
        if (!crowds_init(&port->crowds, alloc, capacity)) {
            forgo(opt);
            alloc_free(alloc, port);
            return -ENOMEM;
        }
    }
    int err = open_socket(port, opt);
    if (err != 0) {
        if (port->counts_addresses) {
            crowds_fini(&port->crowds);
        }
        alloc_free(alloc, port);
        return err;
    }
    if (opt->patience_ms > 0) {
        socket_patience(port->fd, opt->patience_ms); /* what is accepted inherits it */
    }
    *ret_port = port;
    return 0;
}

int accept_port_fd(const struct accept_port *port)
{
    return port->fd;
}

void accept_port_give(struct accept_port *port)
{
    port->is_given = true;
}

void accept_port_refuse(struct accept_port *port)
{
    listen_refuse(port->fd);
}

/* The file of a unix socket that another process has as well is that one's. */
static void close_socket(const struct accept_port *port, int take_fd)
{
    if (port->is_given) {
        close(take_fd);
    } else {
        listen_close(take_fd);
    }
}

void accept_port_close(struct accept_port *take_port)
{
    for (uint32_t i = 0; i < ACCEPT_DOORS_MAX; i++) {
        check(atomic_load(&take_port->seats[i].door) == NULL);
    }
    accept_port_settle(take_port, false);
    close_socket(take_port, take_port->fd);
    if (take_port->counts_addresses) {
        crowds_fini(&take_port->crowds);
    }
    alloc_free(take_port->alloc, take_port);
}

void accept_port_follow(struct accept_port *port, bool may_bind)
{
    listen_share(port->fd, may_bind);
    port->is_followed = true;
}

void accept_port_unfollow(struct accept_port *port)
{
    port->is_followed = false;
}

int accept_port_bind(struct accept_port *port, const struct address *address, bool is_beside,
                     uint32_t patience_ms)
{
    check(port->next_fd < 0);
    int error = open_fd(address, is_beside, &port->next_fd, &port->next_address);
    if (error != 0) {
        port->next_fd = -1;
    } else if (patience_ms > 0) {
        socket_patience(port->next_fd, patience_ms);
    }
    return error;
}

void accept_port_settle(struct accept_port *port, bool has_moved)
{
    if (port->next_fd < 0) {
        return;
    }
    close_socket(port, has_moved ? port->fd : port->next_fd);
    if (has_moved) {
        port->fd = port->next_fd;
        port->address = port->next_address;
    }
    port->next_fd = -1;
    port->is_followed = false;
}

void accept_port_exempt(struct accept_port *port, exempts_fn *exempts, const void *exempts_self)
{
    atomic_store(&port->exempts_self, exempts_self); /* in this order: one function, if any */
    atomic_store(&port->exempts, exempts);
}

bool accept_port_counts(const struct accept_port *port)
{
    return port->counts_addresses;
}

void accept_port_limit(struct accept_port *port, uint32_t max_connections, uint32_t max_per_ip)
{
    port->max_connections = max_connections;
    port->max_per_ip = port->counts_addresses ? max_per_ip : 0;
}

void accept_port_patience(struct accept_port *port, uint32_t patience_ms)
{
    socket_patience(port->fd, patience_ms);
    if (port->next_fd >= 0) {
        socket_patience(port->next_fd, patience_ms);
    }
}

void accept_port_shorten(struct accept_port *port, bool is_short, uint32_t sockets_most)
{
    atomic_store_explicit(&port->is_short, is_short, memory_order_relaxed);
    atomic_store_explicit(&port->sockets_most, sockets_most, memory_order_relaxed);
}

const struct address *accept_port_address(const struct accept_port *port)
{
    return &port->address;
}

uint32_t accept_port_taken(const struct accept_port *port)
{
    return atomic_load_explicit(&port->taken, memory_order_relaxed);
}

uint32_t accept_port_taken_at(const struct accept_port *port, uint32_t worker)
{
    check(worker < ACCEPT_DOORS_MAX);
    return atomic_load_explicit(&port->seats[worker].taken, memory_order_relaxed);
}

/* --- seats --------------------------------------------------------------------------------------
 */

static uint32_t most_of(const struct accept_port *port, const uint8_t address[16])
{
    exempts_fn *exempts = atomic_load(&port->exempts);
    bool is_free = port->max_per_ip == 0
                   || (exempts != NULL && exempts(atomic_load(&port->exempts_self), address));
    return is_free ? UINT32_MAX : port->max_per_ip;
}

static bool is_short(const struct accept_port *port)
{
    return atomic_load_explicit(&port->is_short, memory_order_relaxed)
           || socket_count() >= atomic_load_explicit(&port->sockets_most, memory_order_relaxed);
}

static bool port_enter(struct accept_port *port, const uint8_t address[16],
                       enum accept_refusal *ret_why)
{
    if (is_short(port)) {
        *ret_why = ACCEPT_SHORT;
        return false;
    }
    if (atomic_fetch_add(&port->taken, 1) >= port->max_connections) {
        atomic_fetch_sub(&port->taken, 1);
        *ret_why = ACCEPT_FULL;
        return false;
    }
    if (port->counts_addresses && !crowds_enter(&port->crowds, address, most_of(port, address))) {
        atomic_fetch_sub(&port->taken, 1);
        *ret_why = ACCEPT_PER_IP;
        return false;
    }
    return true;
}

/* The open door with fewest clients; the accepting one where it is as good as any. */
static uint32_t port_emptiest(struct accept_port *port, uint32_t here, uint32_t *ret_taken)
{
    uint32_t best = here;
    uint32_t fewest = atomic_load_explicit(&port->seats[here].taken, memory_order_relaxed);
    uint32_t doors = atomic_load_explicit(&port->doors, memory_order_relaxed);
    for (uint32_t i = 0; i < doors; i++) {
        struct seat *seat = &port->seats[i];
        uint32_t taken = atomic_load_explicit(&seat->taken, memory_order_relaxed);
        if (taken < fewest && !atomic_load_explicit(&seat->is_paced, memory_order_relaxed)
            && atomic_load_explicit(&seat->door, memory_order_acquire) != NULL) {
            best = i;
            fewest = taken;
        }
    }
    *ret_taken = fewest;
    return best;
}

static uint32_t port_seat(struct accept_port *port, uint32_t here)
{
    for (;;) {
        uint32_t taken;
        uint32_t worker = port_emptiest(port, here, &taken);
        if (atomic_compare_exchange_strong(&port->seats[worker].taken, &taken, taken + 1)) {
            return worker;
        }
    }
}

/* --- doors --------------------------------------------------------------------------------------
 */

static void parcel_arrive(void *arg, uint64_t value)
{
    (void)value;
    struct parcel *parcel = arg;
    struct accept_door *door = parcel->to;
    struct accept_client client = parcel->client;
    alloc_free(door->port->alloc, parcel);
    door->ops.serve(door->ops.self, &client);
}

static bool parcel_send(struct accept_door *from, uint32_t worker,
                        const struct accept_client *client)
{
    struct accept_port *port = from->port;
    struct accept_door *to = atomic_load_explicit(&port->seats[worker].door, memory_order_acquire);
    if (to == NULL || from->ops.post == NULL) {
        return false;
    }
    struct parcel *parcel = alloc_new(port->alloc, sizeof *parcel);
    if (parcel == NULL) {
        return false;
    }
    *parcel = (struct parcel){.to = to, .client = *client};
    if (!from->ops.post(from->ops.post_self, worker, parcel_arrive, parcel, 0)) {
        alloc_free(port->alloc, parcel);
        return false;
    }
    return true;
}

static struct accept_client client_of(int fd, const struct address *peer)
{
    struct accept_client client = {.fd = fd, .port = address_port(peer)};
    struct ip ip;
    if (address_ip(peer, &ip)) {
        ip_map(&ip, client.address);
    }
    return client;
}

static void door_look(struct accept_door *door)
{
    if (door->is_paused || door->clients_left == 0) {
        intake_pause(door->intake);
    } else {
        intake_resume(door->intake);
    }
}

static void door_counts(struct accept_door *door)
{
    if (door->clients_left != UINT32_MAX && door->clients_left > 0 && --door->clients_left == 0
        && door->intake != NULL) {
        intake_pause(door->intake);
    }
}

static void door_accepts(void *self, int take_fd, const struct address *peer)
{
    struct accept_door *door = self;
    struct accept_port *port = door->port;
    door_counts(door);
    struct accept_client client = client_of(take_fd, peer);
    enum accept_refusal why;
    if (!port_enter(port, client.address, &why)) {
        door->ops.refuse(door->ops.self, &client, why);
        return;
    }
    if (door->leaving) {
        atomic_fetch_add(&port->seats[door->worker].taken, 1);
        door->ops.serve(door->ops.self, &client);
        return;
    }
    uint32_t worker = port_seat(port, door->worker);
    if (worker != door->worker) {
        if (parcel_send(door, worker, &client)) {
            return;
        }
        atomic_fetch_sub(&port->seats[worker].taken, 1);
        atomic_fetch_add(&port->seats[door->worker].taken, 1);
    }
    door->ops.serve(door->ops.self, &client);
}

int accept_door_open(struct accept_port *port, struct loop *loop, uint32_t worker,
                     const struct accept_ops *ops, struct accept_door **ret_door)
{
    check(worker < ACCEPT_DOORS_MAX);
    check(atomic_load(&port->seats[worker].door) == NULL);
    struct accept_door *door = alloc_zeroed(port->alloc, sizeof *door);
    if (door == NULL) {
        return -ENOMEM;
    }
    door->port = port;
    door->loop = loop;
    door->ops = *ops;
    door->worker = worker;
    door->clients_left = UINT32_MAX;
    atomic_store_explicit(&port->seats[worker].is_paced, false, memory_order_relaxed);
    const struct intake_options opt = {
        .fd = port->fd, .on_accept = door_accepts, .self = door, .reserve = port->reserve};
    int err = intake_open(loop, &opt, &door->intake);
    if (err != 0) {
        alloc_free(port->alloc, door);
        return err;
    }
    uint32_t doors = atomic_load(&port->doors);
    while (doors <= worker && !atomic_compare_exchange_weak(&port->doors, &doors, worker + 1)) {
    }
    atomic_store_explicit(&port->seats[worker].door, door, memory_order_release);
    *ret_door = door;
    return 0;
}

void accept_door_pace(struct accept_door *door, uint32_t clients)
{
    if (door->intake == NULL) {
        return;
    }
    door->clients_left = clients;
    atomic_store_explicit(&door->port->seats[door->worker].is_paced, clients != UINT32_MAX,
                          memory_order_relaxed);
    door_look(door);
}

void accept_door_bring(struct accept_door *door, int take_fd, const struct address *peer)
{
    door_accepts(door, take_fd, peer);
}

void accept_door_pause(struct accept_door *door)
{
    if (door->intake != NULL) {
        atomic_store_explicit(&door->port->seats[door->worker].door, NULL, memory_order_release);
        door->is_paused = true;
        door_look(door);
    }
}

void accept_door_resume(struct accept_door *door)
{
    if (door->intake != NULL) {
        atomic_store_explicit(&door->port->seats[door->worker].door, door, memory_order_release);
        door->is_paused = false;
        door_look(door);
        if (door->clients_left > 0) {
            intake_sweep(door->intake);
        }
    }
}

int accept_door_reach(struct accept_door *door)
{
    check(door->next == NULL && door->intake != NULL);
    const struct intake_options opt = {.fd = door->port->next_fd,
                                       .on_accept = door_accepts,
                                       .self = door,
                                       .reserve = door->port->reserve};
    int error = intake_open(door->loop, &opt, &door->next);
    if (error == 0) {
        intake_pause(door->next);
    }
    return error;
}

void accept_door_stay(struct accept_door *door)
{
    if (door->next != NULL) {
        intake_close(door->next);
        door->next = NULL;
    }
}

/* Who connects here from now on would be nobody's. */
static void step_aside(const struct accept_door *door)
{
    if (door->port->is_followed) {
        listen_step_aside(door->port->fd);
    }
}

void accept_door_move(struct accept_door *door)
{
    if (door->next != NULL) {
        step_aside(door);
        intake_sweep(door->intake);
        intake_close(door->intake);
        door->intake = door->next;
        door->next = NULL;
        door_look(door);
    }
}

void accept_door_shut(struct accept_door *door)
{
    accept_door_stay(door);
    if (door->intake == NULL) {
        return;
    }
    atomic_store_explicit(&door->port->seats[door->worker].door, NULL, memory_order_release);
    intake_close(door->intake);
    door->intake = NULL;
}

void accept_door_shut_last(struct accept_door *door)
{
    if (door->intake != NULL) {
        door->is_paused = false;
        accept_door_pace(door, UINT32_MAX);
        door->leaving = true;
        step_aside(door);
        intake_sweep(door->intake);
    }
    accept_door_shut(door);
}

void accept_leave(struct accept_door *door, const uint8_t address[16])
{
    struct accept_port *port = door->port;
    if (port->counts_addresses) {
        crowds_leave(&port->crowds, address);
    }
    uint32_t here = atomic_fetch_sub(&port->seats[door->worker].taken, 1);
    uint32_t all = atomic_fetch_sub(&port->taken, 1);
    check(here > 0 && all > 0);
}

bool accept_rename(struct accept_door *door, const uint8_t from[16], const uint8_t to[16])
{
    struct accept_port *port = door->port;
    if (!port->counts_addresses) {
        return true;
    }
    uint32_t most = port->max_per_ip > 0 ? port->max_per_ip : UINT32_MAX;
    if (!crowds_enter(&port->crowds, to, most)) {
        return false;
    }
    crowds_leave(&port->crowds, from);
    return true;
}

void accept_door_close(struct accept_door *take_door)
{
    accept_door_shut(take_door);
    check(accept_port_taken_at(take_door->port, take_door->worker) == 0);
    alloc_free(take_door->port->alloc, take_door);
}
