/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers here are loops turned by one thread; a letter between them is a call put off to the other
 * one's next turn.
 */
#include "listener/accept.h"

#include "io/socket.h"
#include "support/await.h"
#include "support/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define WORKERS     4U
#define CLIENTS_MAX 512U
#define DEADLINE_MS 10000U

struct letter {
    void (*run)(void *arg, uint64_t value);
    void *arg;
    uint64_t value;
};

struct house;

struct desk {
    struct house *house;
    struct loop *loop;
    struct accept_door *door;
    struct accept_client served[CLIENTS_MAX];
    uint32_t serving;
    uint32_t refused[3]; /* by enum accept_refusal */
    struct letter letters[CLIENTS_MAX];
    uint32_t letter_count;
    bool full; /* takes no letters */
};

struct house {
    struct accept_port *port;
    struct desk desks[WORKERS];
    uint32_t workers;
    int clients[CLIENTS_MAX];
    uint32_t client_count;
};

static void serve(void *self, const struct accept_client *client)
{
    struct desk *desk = self;
    assert_true(desk->serving < CLIENTS_MAX);
    desk->served[desk->serving++] = *client;
}

static void refuse(void *self, const struct accept_client *client, enum accept_refusal why)
{
    struct desk *desk = self;
    desk->refused[why]++;
    close(client->fd);
}

static bool post(void *self, uint32_t worker, void (*run)(void *arg, uint64_t value), void *arg,
                 uint64_t value)
{
    struct desk *from = self;
    struct desk *to = &from->house->desks[worker];
    if (to->full) {
        return false;
    }
    to->letters[to->letter_count++] = (struct letter){run, arg, value};
    return true;
}

/* Who may bring as many as it likes. */
#define PROXY_HOST 77

static bool exempts(const void *self, const uint8_t address[16])
{
    (void)self;
    return address[15] == PROXY_HOST;
}

static void house_open(struct house *house, uint32_t workers, uint32_t max_connections,
                       uint32_t max_per_ip)
{
    memset(house, 0, sizeof *house);
    house->workers = workers;
    struct accept_options opt = {.max_connections = max_connections,
                                 .max_per_ip = max_per_ip,
                                 .exempts = exempts,
                                 .counts_addresses = max_per_ip == 0};
    assert_true(address_of_host("127.0.0.1", 0, &opt.address));
    assert_int_equal(accept_port_open(&opt, &house->port), 0);
    for (uint32_t i = 0; i < workers; i++) {
        struct desk *desk = &house->desks[i];
        desk->house = house;
        assert_int_equal(loop_new(NULL, &desk->loop), 0);
        const struct accept_ops ops = {
            .serve = serve, .refuse = refuse, .self = desk, .post = post, .post_self = desk};
        assert_int_equal(accept_door_open(house->port, desk->loop, i, &ops, &desk->door), 0);
    }
}

static void desk_leave(struct desk *desk)
{
    struct accept_client *client = &desk->served[--desk->serving];
    close(client->fd);
    accept_leave(desk->door, client->address);
}

static void house_turn(struct house *house)
{
    for (uint32_t i = 0; i < house->workers; i++) {
        struct desk *desk = &house->desks[i];
        loop_turn(desk->loop, 1);
        while (desk->letter_count > 0) {
            struct letter letter = desk->letters[--desk->letter_count];
            letter.run(letter.arg, letter.value);
        }
    }
}

static uint32_t house_seen(const struct house *house)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < house->workers; i++) {
        const struct desk *desk = &house->desks[i];
        seen += desk->serving + desk->refused[0] + desk->refused[1] + desk->refused[2];
    }
    return seen;
}

static void house_until(struct house *house, uint32_t seen)
{
    await_true(house_seen(house) >= seen, DEADLINE_MS, house_turn(house));
}

/* From 127.0.0.HOST. */
static void house_connect(struct house *house, uint8_t host)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000000U | host);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    const struct address *to = accept_port_address(house->port);
    assert_int_equal(connect(fd, &to->any, to->len), 0);
    house->clients[house->client_count++] = fd;
}

static void house_close(struct house *house)
{
    for (uint32_t i = 0; i < house->workers; i++) {
        struct desk *desk = &house->desks[i];
        accept_door_shut(desk->door);
        while (desk->serving > 0) {
            desk_leave(desk);
        }
    }
    assert_int_equal(accept_port_taken(house->port), 0);
    for (uint32_t i = 0; i < house->workers; i++) {
        accept_door_close(house->desks[i].door);
        loop_turn(house->desks[i].loop, 0);
        loop_free(house->desks[i].loop);
    }
    accept_port_close(house->port);
    for (uint32_t i = 0; i < house->client_count; i++) {
        close(house->clients[i]);
    }
}

/* --- the tests ----------------------------------------------------------------------------------
 */

static void clients_spread_evenly(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 4, 1000, 0);
    for (uint32_t i = 0; i < 400; i++) {
        house_connect(&house, 1);
        if (i % 7 == 0) {
            house_turn(&house);
        }
    }
    house_until(&house, 400);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(house.desks[i].serving, 100);
        assert_int_equal(accept_port_taken_at(house.port, i), 100);
    }
    house_close(&house);
}

static void the_gaps_that_clients_leave_are_filled_first(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 4, 1000, 0);
    for (uint32_t i = 0; i < 100; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 100);
    for (uint32_t i = 0; i < 20; i++) {
        desk_leave(&house.desks[2]);
    }
    for (uint32_t i = 0; i < 20; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 100);
    for (uint32_t i = 0; i < 4; i++) {
        assert_in_range(house.desks[i].serving, 25, 25);
    }
    house_close(&house);
}

static void the_limit_is_exact_over_all_workers(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 4, 10, 0);
    for (uint32_t i = 0; i < 30; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 30);
    assert_int_equal(accept_port_taken(house.port), 10);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 4; i++) {
        refused += house.desks[i].refused[ACCEPT_FULL];
    }
    assert_int_equal(refused, 20);
    for (uint32_t i = 0; i < 4; i++) {
        if (house.desks[i].serving > 0) {
            desk_leave(&house.desks[i]);
            break;
        }
    }
    house_connect(&house, 1);
    house_until(&house, 30); /* one left, one came: the sum is as before */
    assert_int_equal(accept_port_taken(house.port), 10);
    house_close(&house);
}

static void each_address_has_its_own_limit(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 2, 100, 3);
    for (uint32_t i = 0; i < 5; i++) {
        house_connect(&house, 1);
        house_connect(&house, 2);
    }
    house_connect(&house, 3);
    house_until(&house, 11);
    assert_int_equal(accept_port_taken(house.port), 7);
    assert_int_equal(house.desks[0].refused[ACCEPT_PER_IP] + house.desks[1].refused[ACCEPT_PER_IP],
                     4);
    house_close(&house);
}

static void who_cannot_be_handed_over_is_served_here(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 2, 100, 0);
    house.desks[0].full = house.desks[1].full = true;
    for (uint32_t i = 0; i < 20; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 20);
    assert_int_equal(accept_port_taken_at(house.port, 0), house.desks[0].serving);
    assert_int_equal(accept_port_taken_at(house.port, 1), house.desks[1].serving);
    house_close(&house);
}

static void a_shut_door_is_given_nobody(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 2, 100, 0);
    accept_door_shut(house.desks[1].door);
    for (uint32_t i = 0; i < 10; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 10);
    assert_int_equal(house.desks[0].serving, 10);
    assert_int_equal(house.desks[1].serving, 0);
    house_close(&house);
}

static void who_waits_at_the_end_is_taken_and_then_all_are_refused(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 2, 100, 0);
    for (uint32_t i = 0; i < 10; i++) {
        house_connect(&house, 1);
    }
    accept_door_shut_last(house.desks[1].door);
    assert_int_equal(house.desks[1].serving, 10);
    assert_int_equal(accept_port_taken_at(house.port, 1), 10);
    accept_door_shut_last(house.desks[1].door);
    accept_door_shut_last(house.desks[0].door);
    assert_int_equal(house.desks[0].serving, 0);
    accept_port_refuse(house.port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct address *to = accept_port_address(house.port);
    assert_int_equal(connect(fd, &to->any, to->len), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    house_close(&house);
}

static void limits_change_while_it_is_open(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 1, 3, 0);
    for (int i = 0; i < 3; i++) {
        house_connect(&house, 9);
    }
    house_until(&house, 3);
    accept_port_limit(house.port, 2, 0);
    house_connect(&house, 9);
    house_until(&house, 4);
    assert_int_equal(house.desks[0].refused[ACCEPT_FULL], 1);
    accept_port_limit(house.port, 10, 4); /* those who were there before count */
    house_connect(&house, 9);
    house_connect(&house, 9);
    house_until(&house, 6);
    assert_int_equal(house.desks[0].serving, 4);
    assert_int_equal(house.desks[0].refused[ACCEPT_PER_IP], 1);
    house_close(&house);
}

/* Who connects inherits it. */
static void patience_changes_while_it_is_open(void **state)
{
    (void)state;
    static struct house house;
    int is_ms = 0;
    socklen_t size = sizeof is_ms;
    house_open(&house, 1, 3, 0);
    accept_port_patience(house.port, 12345);
    int fd = accept_port_fd(house.port);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &is_ms, &size), 0);
    assert_int_equal(is_ms, 12345);
    house_close(&house);
}

static void while_the_process_is_short_newcomers_are_refused(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 1, 10, 0);
    struct desk *desk = &house.desks[0];
    house_connect(&house, 1);
    house_until(&house, 1);
    accept_port_shorten(house.port, true, UINT32_MAX);
    house_connect(&house, 1);
    house_until(&house, 2);
    assert_int_equal(desk->refused[ACCEPT_SHORT], 1);
    assert_int_equal(accept_port_taken(house.port), 1);
    accept_port_shorten(house.port, false, socket_count()); /* as many as there may be */
    house_connect(&house, 1);
    house_until(&house, 3);
    assert_int_equal(desk->refused[ACCEPT_SHORT], 2);
    accept_port_shorten(house.port, false, socket_count() + 1);
    house_connect(&house, 1);
    house_until(&house, 4);
    assert_int_equal(desk->serving, 2);
    house_close(&house);
}

/* What comes beyond waits in the backlog, and others hand it none. */
static void a_paced_door_takes_as_many_as_it_was_told(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 2, 10, 0);
    accept_door_shut(house.desks[1].door);
    accept_door_pace(house.desks[0].door, 2);
    for (int i = 0; i < 4; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 2);
    for (int i = 0; i < 5; i++) {
        house_turn(&house);
    }
    assert_int_equal(house_seen(&house), 2);
    accept_door_pace(house.desks[0].door, 1);
    house_until(&house, 3);
    accept_door_pace(house.desks[0].door, 0);
    house_turn(&house);
    assert_int_equal(house_seen(&house), 3);
    accept_door_pace(house.desks[0].door, UINT32_MAX);
    house_until(&house, 4);
    house_close(&house);

    house_open(&house, 2, 10, 0);
    accept_door_pace(house.desks[0].door, 0);
    for (int i = 0; i < 4; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 4);
    assert_int_equal(house.desks[1].serving, 4);
    accept_door_shut_last(house.desks[0].door); /* who leaves takes all that wait */
    house_close(&house);
}

/* Whoever comes meanwhile waits in the backlog, also where others would have handed it over; and is
 * taken at once when it goes on. */
static void a_paused_door_takes_nobody(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 2, 10, 0);
    accept_door_pause(house.desks[0].door);
    for (int i = 0; i < 4; i++) {
        house_connect(&house, 1);
    }
    house_until(&house, 4);
    assert_int_equal(house.desks[1].serving, 4);
    accept_door_pause(house.desks[1].door);
    for (int i = 0; i < 3; i++) {
        house_connect(&house, 1);
    }
    accept_door_pace(house.desks[1].door, UINT32_MAX); /* a matter of its own */
    for (int i = 0; i < 5; i++) {
        house_turn(&house);
    }
    assert_int_equal(house_seen(&house), 4);
    accept_door_resume(house.desks[1].door);
    assert_int_equal(house_seen(&house), 7); /* without a turn */
    accept_door_pace(house.desks[0].door, 0);
    accept_door_resume(house.desks[0].door);
    house_connect(&house, 1);
    house_until(&house, 8);
    assert_int_equal(house.desks[0].serving, 0);
    accept_door_pause(house.desks[1].door);
    house_connect(&house, 1);
    accept_door_shut_last(house.desks[1].door); /* who leaves takes all that wait */
    assert_int_equal(house_seen(&house), 9);
    house_close(&house);
}

/* As a process does that takes over from another. */
static void a_port_may_have_a_socket_that_listens_already(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 1, 10, 0);
    house_connect(&house, 1);
    struct accept_options opt = {.address = *accept_port_address(house.port),
                                 .max_connections = 10,
                                 .take_fd = dup(accept_port_fd(house.port))};
    struct accept_port *other;
    assert_int_equal(accept_port_open(&opt, &other), 0);
    assert_int_equal(address_port(accept_port_address(other)),
                     address_port(accept_port_address(house.port)));
    accept_port_give(other);
    accept_port_close(other);
    house_until(&house, 1); /* it waits there still */
    house_close(&house);
    opt.take_fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(accept_port_open(&opt, &other), -EOPNOTSUPP);
    assert_int_equal(close(opt.take_fd), -1); /* it was taken */
}

static void clients_may_be_brought(void **state)
{
    (void)state;
    static struct house house;
    int ends[4];
    struct address nobody = {0};
    house_open(&house, 1, 1, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends + 2), 0);
    accept_door_bring(house.desks[0].door, ends[0], &nobody);
    accept_door_bring(house.desks[0].door, ends[2], &nobody);
    assert_int_equal(house.desks[0].serving, 1);
    assert_int_equal(house.desks[0].refused[ACCEPT_FULL], 1);
    close(ends[1]);
    close(ends[3]);
    house_close(&house);
}

static void addresses_come_as_mapped_ipv6(void **state)
{
    (void)state;
    static struct house house;
    static const uint8_t expected[16] = {[10] = 0xff, 0xff, 127, 0, 0, 9};
    house_open(&house, 1, 10, 0);
    house_connect(&house, 9);
    house_until(&house, 1);
    assert_memory_equal(house.desks[0].served[0].address, expected, 16);
    house_close(&house);
}

static void a_port_in_use_is_said_so(void **state)
{
    (void)state;
    static struct house house;
    house_open(&house, 1, 10, 0);
    struct accept_options opt = {.address = *accept_port_address(house.port), .max_connections = 1};
    struct accept_port *port;
    assert_int_equal(accept_port_open(&opt, &port), -EADDRINUSE);
    house_close(&house);
}

static void open_one(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct accept_options opt = {.max_connections = 10, .max_per_ip = 2, .alloc = alloc};
    assert_true(address_of_host("127.0.0.1", 0, &opt.address));
    struct accept_port *port;
    int error = accept_port_open(&opt, &port);
    if (error == 0) {
        accept_port_close(port);
    } else {
        assert_int_equal(error, -ENOMEM);
    }
}

/* The seat of the i-th client counts for an address that ends so. */
static bool rename_to(struct desk *desk, uint32_t i, uint8_t host)
{
    struct accept_client *client = &desk->served[i];
    uint8_t named[16];
    memcpy(named, client->address, sizeof named);
    named[15] = host;
    bool is_renamed = accept_rename(desk->door, client->address, named);
    if (is_renamed) {
        memcpy(client->address, named, sizeof named);
    }
    return is_renamed;
}

static void a_seat_may_become_another_addresss(void **state)
{
    (void)state;
    struct house house;
    house_open(&house, 1, 10, 2);
    struct desk *desk = &house.desks[0];
    for (int i = 0; i < 4; i++) {
        house_connect(&house, PROXY_HOST);
    }
    house_until(&house, 4);
    assert_int_equal(desk->serving, 4);
    assert_true(rename_to(desk, 3, 7));
    assert_true(rename_to(desk, 2, 7));
    assert_false(rename_to(desk, 1, 7));
    assert_true(rename_to(desk, 1, 8));
    desk_leave(desk);
    assert_true(rename_to(desk, 0, 7));
    house_close(&house);
}

static void refused_allocations_are_survived(void **state)
{
    (void)state;
    torture(open_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seat_may_become_another_addresss),
        cmocka_unit_test(clients_spread_evenly),
        cmocka_unit_test(the_gaps_that_clients_leave_are_filled_first),
        cmocka_unit_test(the_limit_is_exact_over_all_workers),
        cmocka_unit_test(each_address_has_its_own_limit),
        cmocka_unit_test(who_cannot_be_handed_over_is_served_here),
        cmocka_unit_test(a_shut_door_is_given_nobody),
        cmocka_unit_test(who_waits_at_the_end_is_taken_and_then_all_are_refused),
        cmocka_unit_test(limits_change_while_it_is_open),
        cmocka_unit_test(patience_changes_while_it_is_open),
        cmocka_unit_test(while_the_process_is_short_newcomers_are_refused),
        cmocka_unit_test(a_paced_door_takes_as_many_as_it_was_told),
        cmocka_unit_test(a_paused_door_takes_nobody),
        cmocka_unit_test(a_port_may_have_a_socket_that_listens_already),
        cmocka_unit_test(clients_may_be_brought),
        cmocka_unit_test(addresses_come_as_mapped_ipv6),
        cmocka_unit_test(a_port_in_use_is_said_so),
        cmocka_unit_test(refused_allocations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
