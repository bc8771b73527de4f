/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h - the neutral HTTP message, and the seam between the two sides of an exchange.
 *
 * A message is a head (method, target, authority, status, fields), a body, trailers; it is what
 * HTTP/1.1, HTTP/2 and gRPC have in common, so that a relay between any two of them is a reader of
 * one and a writer of the other. Slices point into the reader's buffer and are valid during the
 * call that hands them over, no longer.
 *
 * An exchange is one request and its answer. Two objects carry it, each a vtable:
 *
 *     client ══ listener ──▶ struct http_exchange ──▶ handler (relay, admin, demo, a program)
 *                                                        │
 *                     struct http_call ◀─────────────────┘ ══ connector ══ upstream
 *
 * Data is pushed up by events and pushed down by calls. A call down never fails for back-pressure:
 * it takes everything; what could not leave at once is kept by the side that sends (bounded by one
 * read buffer plus a head, because the giver pauses its source when told `blocked`, and resumes it
 * at the event on_drain). Writes are corked: bytes given during one event leave in one system call
 * at flush(), which the giver calls once at the end of its own event.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fields that some rule speaks of; all others are HTTP_FIELD_OTHER and pass untouched. */
enum http_field_id {
    HTTP_FIELD_OTHER = 0,
    HTTP_HOST,
    HTTP_CONTENT_LENGTH,
    HTTP_TRANSFER_ENCODING,
    HTTP_CONNECTION,
    HTTP_KEEP_ALIVE,
    HTTP_PROXY_CONNECTION,
    HTTP_PROXY_AUTHENTICATE,
    HTTP_PROXY_AUTHORIZATION,
    HTTP_TE,
    HTTP_TRAILER,
    HTTP_UPGRADE,
    HTTP_HTTP2_SETTINGS,
    HTTP_EXPECT,
    HTTP_DATE,
    HTTP_SERVER,
    HTTP_VIA,
    HTTP_FORWARDED,
    HTTP_X_FORWARDED_FOR,
    HTTP_X_FORWARDED_PROTO,
    HTTP_X_FORWARDED_HOST,
    HTTP_X_FORWARDED_MORE, /* any other name that begins with X-Forwarded- */
    HTTP_X_REAL_IP,
    HTTP_AUTHORIZATION,
    HTTP_X_API_KEY,
    HTTP_COOKIE,
    HTTP_CONTENT_TYPE,
    HTTP_CONTENT_ENCODING,
    HTTP_RETRY_AFTER,
    HTTP_IDEMPOTENCY_KEY,
    HTTP_TRACEPARENT,
    HTTP_TRACESTATE,
    HTTP_USER_AGENT,
    HTTP_LAST_EVENT_ID,
    HTTP_FIELD_IDS
};

struct http_field {
    struct slice name;  /* as it came: case and underscores kept */
    struct slice value; /* without the white space around it */
    uint8_t id;         /* enum http_field_id */
    uint8_t drop; /* hop-by-hop, named by Connection, or removed by a rule: not to be written */
    /* It lies in memory as "name: value CRLF", so that a writer may copy it with its neighbours;
     * only the HTTP/1.1 reader says so. Who makes fields zeroes what it does not name. */
    uint8_t wire;
};

enum http_method {
    HTTP_METHOD_OTHER = 0,
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_TRACE,
    HTTP_CONNECT,
};

enum http_framing {
    HTTP_NO_BODY = 0,
    HTTP_LENGTH,      /* content_length bytes follow */
    HTTP_CHUNKED,     /* or HTTP/2 DATA without a length: the end is told */
    HTTP_UNTIL_CLOSE, /* answers only */
};

/* The most that any limit option can allow in one head or trailer section. */
#define HTTP_FIELDS_MAX 256

struct http_head {
    /* request */
    struct slice method, target,
        authority;     /* authority: Host, or that of an absolute-form target */
    struct slice path; /* origin-form part of the target: "/a?b", or "*" */
    /* answer */
    struct slice reason;
    uint16_t status;
    uint8_t method_id;     /* enum http_method */
    uint8_t framing;       /* enum http_framing */
    uint8_t version_minor; /* HTTP/1.x; HTTP/2 says 1 */
    bool is_http2;         /* it came in HTTP/2 */
    bool keep_alive;       /* the connection may carry another message after this one */
    bool upgrade;          /* a well-formed Upgrade asked for (or granted by 101); who
                              does not want it clears it */
    bool expect_continue;
    /* Among `fields` is one Content-Length, and it says content_length as a writer would: who
     * changes the number unsays it. */
    bool length_said;
    /* Bytes of all of it, as it came; 0: it did not come in HTTP/1.1. Who makes a text longer
     * zeroes it. */
    uint32_t came_len;
    uint64_t content_length;
    uint64_t present; /* bit n: a field with id n is there (HTTP_FIELD_IDS <= 64) */
    uint16_t field_count;
    uint16_t added_count;
    struct http_field *fields;
    /* What a handler adds, written after `fields`; a reader leaves it empty. */
    const struct http_field *added;
};

static inline bool http_has(const struct http_head *head, enum http_field_id id)
{
    return (head->present >> id) & 1U;
}

/* The first field with that id, or NULL. */
const struct http_field *http_find(const struct http_head *head, enum http_field_id id);

/* --- rules that every version of HTTP shares (http.c) ---------------------------------------- */

enum http_field_id http_field_id_of(struct slice name); /* case ignored */
/* The same; bytes before `end` may be looked at, too, which is faster. */
enum http_field_id http_field_id_near(struct slice name, const char *end);
/* The name in lower case, which stays for ever; empty where an id has no name of its own. */
struct slice http_field_name(enum http_field_id id);
enum http_method http_method_of(struct slice method); /* case counts */

bool http_name_valid(struct slice name);           /* a token (RFC 9110 §5.6.2), not empty */
bool http_value_valid(struct slice value);         /* no control but TAB, no space at its ends */
bool http_authority_valid(struct slice authority); /* host or [IPv6], optional :port; no userinfo */
/* The same; bytes from start to end may be looked at, too, and no part of a host is behind it. */
bool http_authority_valid_near(struct slice authority, const char *start, const char *end);

/* The one path rule. A path that passes is routed by and forwarded as the bytes that came, so the
 * two cannot differ; what an upstream could read as another path than the one routed by is refused:
 * "%00", a "%" without two digits, and any segment "." or ".." - plain or with "%2e", between "/",
 * "\", "%2f" or "%5c", with or without a ";parameter". "//" is a path of its own and stays. The
 * query ("?…") is not looked at. */
bool http_path_check(struct slice path);
bool http_path_check_near(struct slice path, const char *end); /* bytes before end may be read */

/* What Connection says besides names of fields. */
#define HTTP_CONNECTION_CLOSE      1U
#define HTTP_CONNECTION_KEEP_ALIVE 2U
#define HTTP_CONNECTION_UPGRADE    4U

/* Marks `drop` what belongs to one connection (RFC 9110 §7.6.1): Connection and all that it names,
 * Keep-Alive, Proxy-Connection, TE, Transfer-Encoding, Upgrade, HTTP2-Settings, Proxy-Authenticate,
 * Proxy-Authorization. Content-Length and Host cannot be named away. False: Connection names more
 * than named_max fields. */
bool http_drop_hop_by_hop(struct http_head *head, unsigned named_max, unsigned *ret_words);

/* May a field of that name come after the body (RFC 9110 §6.5.1)? Not one that frames, routes,
 * authenticates or controls. */
bool http_trailer_allowed(struct slice name);

struct slice http_reason_of(unsigned status); /* "Not Found"; "Unknown" where nobody named it */

/* Why an exchange or a call ended badly: enough for a status code, a log word and a metric. */
enum http_fault {
    HTTP_FINE = 0,
    HTTP_FAULT_REFUSED, /* could not connect: refused, unreachable, DNS */
    HTTP_FAULT_CONNECT_TIMEOUT,
    HTTP_FAULT_RESET,      /* closed or reset before the answer was complete */
    HTTP_FAULT_STALE,      /* a reused connection closed before one byte of the answer */
    HTTP_FAULT_BAD_ANSWER, /* the answer does not parse, or breaks a limit */
    HTTP_FAULT_FIRST_BYTE_TIMEOUT,
    HTTP_FAULT_READ_TIMEOUT,
    HTTP_FAULT_WRITE_TIMEOUT,
    HTTP_FAULT_TOTAL_TIMEOUT,
    HTTP_FAULT_CANCELLED,   /* the other side left */
    HTTP_FAULT_BAD_REQUEST, /* the client broke the rules in the middle of its body */
    HTTP_FAULT_IDLE,        /* neither side said anything */
};

struct http_exchange;
struct http_call;

/* --- a connection that has become something else -------------------------------------------------
 *
 * After 101 (Switching Protocols) a connection of HTTP/1.1 is its taker's: it reads and writes the
 * stream (io/stream.h), whose `owner` and `on_ready` are its own from then on. The giver still
 * counts the connection, and tells when it has to end. */

struct stream;
struct bytes;
struct http_tunnel;

/* Who takes a tunnel. */
struct http_tunneler {
    void (*on_cut)(struct http_tunnel *tunnel); /* it has to close, before it returns */
    /* Where it takes the tunnel inside on_request: what the client has sent behind its request
     * comes right after that has returned. It may be written to. NULL: it takes it later. */
    void (*on_ahead)(struct http_tunnel *tunnel, char *at, size_t len);
    void (*on_drain)(struct http_tunnel *tunnel); /* the listener closes. May be NULL */
};

struct http_tunnel {                           /* lies in its taker's memory */
    struct stream *stream;                     /* NULL: the taker has closed it */
    void (*close)(struct http_tunnel *tunnel); /* the giver's: closes the stream, and it is over */
    void *giver;
    uint64_t lease; /* the giver's */
    const struct http_tunneler *taker;
};

/* --- the listener's side --------------------------------------------------------------------- */

struct http_exchange_ops {
    /* Answers. 1xx may come any number of times before the one final head. `head` is read during
     * the call; fields marked `drop` are skipped; the listener adds framing, Connection and Date.
     */
    void (*respond)(struct http_exchange *ex, const struct http_head *head);
    /* Body bytes: borrowed until flush() returns. Returns true when the exchange is blocked: pause
     * the source and wait for on_drain. */
    bool (*body)(struct http_exchange *ex, const void *data, size_t len);
    /* The answer is complete. `trailers` may be NULL. A flush() is all that may follow it, in the
     * same event; then the exchange is the listener's, and the handler hears no more of it. */
    void (*end)(struct http_exchange *ex, const struct http_head *trailers);
    bool (*flush)(struct http_exchange *ex); /* sends what is corked; true when still blocked */
    /* The answer cannot be completed: before its head, the listener is told nothing was sent and
     * the caller should have responded; after it, the client must see a cut (close / RST_STREAM).
     */
    void (*abort)(struct http_exchange *ex);
    void (*pause)(struct http_exchange *ex, bool paused); /* the request body, from the client */
    /* The handler keeps the time of this exchange itself (a call of gRPC): silence and a slow body
     * end nothing. NULL: not here, which is HTTP/1.x. */
    void (*untime)(struct http_exchange *ex);
    /* Before a 101 is given: sees to it that no memory is missing for tunnel() in the same event.
     * -ENOMEM: some is. NULL with HTTP/2. */
    int (*tunnel_ready)(struct http_exchange *ex);
    /* After 101 was given and flushed: the exchange is over, and nothing more is heard of it.
     * `tunnel->taker` is set already. *ret_ahead becomes the caller's: what the client has sent
     * since. -EALREADY: it cannot be, -ENOMEM: nothing has changed. NULL with HTTP/2, where the
     * body goes on, both ways, behind a final answer (RFC 8441). */
    int (*tunnel)(struct http_exchange *ex, struct http_tunnel *tunnel, struct bytes *ret_ahead);
};

/* What a handler is told. All calls come from the loop's thread; none comes inside a call down. */
struct http_handler {
    /* A request began. `end`: it has no body. Answer now or later; every exchange is answered with
     * respond+end, or abort. Set ex->user. */
    void (*on_request)(void *self, struct http_exchange *ex, struct http_head *head, bool end);
    void (*on_body)(struct http_exchange *ex, const void *data, size_t len);
    void (*on_request_end)(struct http_exchange *ex, const struct http_head *trailers);
    void (*on_flush)(
        struct http_exchange *ex); /* end of one read of the client: flush downstream */
    void (*on_drain)(struct http_exchange *ex); /* no longer blocked */
    /* The client left or broke the rules: the exchange is gone after this returns. */
    void (*on_abort)(struct http_exchange *ex, enum http_fault why);
};

/* The connection's ends beside the peer's address. */
struct http_ends {
    uint8_t to[16];              /* whom it reached, as http_peer.address; zeroes: not asked for */
    uint16_t from_port, to_port; /* of the peer; of whom it reached */
};

/* Who sends the requests. Lives as long as its connection. */
struct http_peer {
    uint8_t address[16]; /* IPv4 is kept as IPv4-mapped IPv6; all zeroes: a unix socket */
    char text[46];       /* "192.0.2.7", "2001:db8::7", "unix"; ends with NUL */
    uint8_t text_len;
    bool tls;
    const char *server_name;      /* that the TLS client asked for (SNI); NULL or "": none */
    const struct http_ends *ends; /* or NULL */
};

struct http_exchange {
    const struct http_exchange_ops *ops;
    const struct http_handler *handler;
    const struct http_peer *peer;
    void *user;       /* the handler's */
    const void *near; /* what answering touches besides this: for base/fetch.h */
    bool is_first;    /* its connection has carried no request before it */
    /* The handler's to say, before it answers. */
    bool is_favoured; /* when there is not enough for all, its connection closes after others */
    bool is_last;     /* its connection is to carry no further request */
};

/* --- the connector's side -------------------------------------------------------------------- */

struct http_call_ops {
    /* Sends the request's head. `head` as above; the connector adds Host (from authority), framing.
     */
    void (*request)(struct http_call *call, const struct http_head *head);
    bool (*body)(struct http_call *call, const void *data, size_t len); /* true: blocked */
    void (*end)(struct http_call *call, const struct http_head *trailers);
    bool (*flush)(struct http_call *call);
    void (*cancel)(
        struct http_call *call); /* closes the connection (HTTP/1.1), resets the stream */
    void (*pause)(struct http_call *call, bool paused); /* the answer's body */
    /* How long the peer took to answer, for the pool's choice among connections; until on_end
     * returns. */
    void (*took)(struct http_call *call, uint32_t us);
    /* The caller keeps the time of this call itself: silence ends nothing. NULL with HTTP/1.1. */
    void (*untime)(struct http_call *call);
    /* As above, inside on_head() of a 101: the call is over; its lease is to be released when the
     * tunnel has been closed. *ret_ahead is borrowed until on_head() returns. */
    bool (*tunnel)(struct http_call *call, struct http_tunnel *tunnel, struct slice *ret_ahead);
};

struct http_caller {
    void (*on_head)(struct http_call *call, struct http_head *head); /* 1xx, then the final one */
    void (*on_body)(struct http_call *call, const void *data, size_t len);
    /* The answer is complete. `reusable`: the connection may go back to the pool; that is decided
     * by the connector (framing, keep-alive, request fully sent, no surplus bytes). */
    void (*on_end)(struct http_call *call, const struct http_head *trailers, bool reusable);
    void (*on_flush)(struct http_call *call); /* end of one read of the upstream */
    void (*on_drain)(struct http_call *call);
    void (*on_fail)(struct http_call *call, enum http_fault why); /* the call is over */
};

#define HTTP_AHEAD       4
#define HTTP_AHEAD_BYTES 256U /* of each */

/* How long a dial took, and of that TLS with the target (0: none). */
struct http_took {
    uint32_t connect_us, tls_us;
};

struct http_call {
    const struct http_call_ops *ops;
    const struct http_caller *caller;
    void *user;
    uint64_t sent; /* bytes of this request the peer's socket has accepted: 0: safe to replay */
    /* What the caller will touch when something comes (base/fetch.h); NULL: no more of it. */
    const void *ahead[HTTP_AHEAD];
    struct http_took took; /* the dial of its connection */
    bool reused;           /* the connection has carried a call before this one */
    bool can_upgrade;      /* a request for a WebSocket may go this way */
    /* The connection carries others besides, and outlives a call that fails or is cancelled: the
     * lease goes back as good as it came. */
    bool shared;
    /* At on_fail: the peer has said that it did nothing with this request (GOAWAY, REFUSED_STREAM:
     * RFC 9113 §8.7), which may go again whatever its method. `refused`: it was this one that it
     * did not want, not the connection that was at its end. */
    bool untouched, refused;
    /* At on_head: nobody answered, a fault of ours says why; `refused`: nothing was sent either. */
    bool is_fault;
};
