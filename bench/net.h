/* SPDX-License-Identifier: Apache-2.0
 *
 * net.h - the few socket calls that the bench programs share. All sockets are loopback TCP, without
 * Nagle's delay; whatever fails at start ends the program with a message.
 */
#pragma once
#include <stdint.h>

/* Prints what failed, with errno, and exits. */
__attribute__((noreturn)) void net_die(const char *what);

/* A port number from the command line, 0 to 65535. */
uint16_t net_port_of(const char *text);

/* Listens on 127.0.0.1:port, 0 for any; prints "port N" so that whoever started us knows. */
int net_listen(uint16_t port);

/* The next client of a listening socket, non-blocking, or -1 where there is none. */
int net_accept(int listener);

/* Connects to 127.0.0.1:port (loopback answers at once) and returns the socket, non-blocking; -1 on
 * failure. */
int net_connect(uint16_t port);

/* Raises the limit of descriptors as far as it goes. */
void net_raise_limits(void);

/* CLOCK_MONOTONIC. */
uint64_t net_now_ns(void);
