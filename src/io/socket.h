/* SPDX-License-Identifier: Apache-2.0
 *
 * socket.h - the stream at the bottom: a TCP or unix descriptor on a loop.
 *
 * A TCP socket has TCP_NODELAY, keep-alive and TCP_USER_TIMEOUT set: whoever writes, writes whole
 * messages, and a peer that is gone is noticed. An accepted one has inherited them from its
 * listening socket (listen.h), so that taking it costs no system call here.
 *
 * A socket belongs to the loop's thread. Its memory comes from a free list of the loop's; the
 * descriptor is closed at once by stream_close().
 */
#pragma once
#include "io/address.h"
#include "io/loop.h"
#include "io/stream.h"

/* A stream over a connected descriptor, which is taken also on failure. It must be non-blocking, as
 * acceptors hand them out. 0 or -errno. */
int socket_adopt(struct loop *loop, int take_fd, struct stream **ret_stream);

/* Begins to connect. The stream wants STREAM_WRITE; when it is ready, socket_connected() says how
 * it went. `from` (or NULL) is the local address to come from; its port 0 lets the kernel choose
 * late (IP_BIND_ADDRESS_NO_PORT). 0, or -errno where it failed at once. */
int socket_connect(struct loop *loop, const struct address *to, const struct address *from,
                   struct stream **ret_stream);
/* 0: connected; -EINPROGRESS: not yet; other -errno: failed. */
int socket_connected(struct stream *stream);

/* Its owner reads to loop_inbox() whenever he is told, all that there is: the loop may receive for
 * him before it tells him. Nothing where the stream is no socket. */
void socket_read_ahead(struct stream *stream);
/* It has done so, and he has not read it yet. False where the stream is no socket. */
bool socket_has_arrived(const struct stream *stream);

/* Takes the descriptor out of the loop, open and non-blocking, and frees the stream: for moving a
 * connection to another worker, whose loop adopts it. What has arrived is lost. */
int socket_detach(struct stream *take_socket);

/* Whether it is one of this file, with nothing over it. */
bool stream_is_socket(const struct stream *stream);

int socket_peer(const struct stream *socket, struct address *ret); /* 0 or -errno */
int socket_local(const struct stream *socket, struct address *ret);

/* Whether anything is there to be read, or the peer is gone, without reading it: an idle connection
 * of which this is true is not fit for reuse. One system call. */
bool socket_is_dirty(const struct stream *socket);

/* Whether something is behind what was read last, the end included. One system call where that read
 * filled its room, else none. False where the stream is no socket. */
bool socket_holds_more(const struct stream *stream);

/* What is there to be read, without reading it. > 0 bytes; 0: the peer has closed its direction;
 * -EAGAIN; other -errno. */
ssize_t socket_peek(const struct stream *socket, void *buf, size_t cap);
/* Readable from now on means so many bytes, or the end; 1: as ever. TCP. */
void socket_await(const struct stream *socket, uint32_t bytes);

/* The next close() sends RST and forgets what was not sent. */
void socket_linger_none(struct stream *socket);

/* After so long a TCP peer that acknowledges nothing, or keeps its window shut, is gone
 * (TCP_USER_TIMEOUT); UINT32_MAX: as long as the system likes. Without this call 120 s. */
void socket_patience(int fd, uint32_t patience_ms);

/* How many of them this process has, on all loops: descriptors that are in use now, without asking
 * the system. Any thread. */
uint32_t socket_count(void);
/* While there are so many none connects any more: -EMFILE. What is left is for those who come.
 * UINT32_MAX: as long as the system lets it, as at first. Any thread. */
void socket_connect_below(uint32_t most);

/* The options named above, on a TCP descriptor; does nothing on a unix one. Linux copies them from
 * a listening socket to what it accepts. */
void socket_tune(int fd);
