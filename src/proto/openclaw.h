/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw.h - the frames of an OpenClaw gateway, protocols 3 and 4: JSON, one frame in a text
 * message.
 *
 *     gateway                                                  client
 *        ── event connect.challenge {nonce} ──────────────────▶
 *        ◀───────── req connect {protocols, client, auth, device} ──
 *        ── res {ok, hello-ok {protocol, policy}} │ error ─────▶
 *        ◀───────── req ──   ── res, in any order ─▶   ── event, at any time ─▶
 *
 * Everything is read where it lies: the slices of a frame are parts of its text. What is not JSON,
 * too deep, or not a frame is refused with a word; who wrote it is not to be trusted with more.
 */
#pragma once
#include "proto/json.h"
#include "proto/json_read.h"
#include "proto/openclaw_device.h"

#define CLAW_PROTOCOL_MIN 3U
#define CLAW_PROTOCOL_MAX 4U
#define CLAW_WORD_MAX     64U       /* bytes of a code, an event's name, a method */
#define CLAW_TEXT_MAX     256U      /* of a message for people */
#define CLAW_TOKEN_MAX    512U      /* tokens, passwords, nonces */
#define CLAW_PAYLOAD_MAX  26214400U /* a frame, where the gateway has not said otherwise */
#define CLAW_TICK_MS      30000U    /* the same */

enum claw_kind {
    CLAW_BAD,      /* `why` */
    CLAW_EVENT,    /* name, payload, seq */
    CLAW_RESPONSE, /* id, is_ok, payload or error */
};

struct claw_frame {
    enum claw_kind kind;
    const char *why; /* BAD: "json", "type", "id", "event": the log's word */
    uint64_t id;     /* of the request */
    bool is_ok;
    char name[CLAW_WORD_MAX];
    struct slice payload; /* JSON; empty: there is none */
    struct slice error;
    uint64_t seq; /* 0: none */
};

void claw_read(struct slice text, struct claw_frame *ret_frame);

/* The nonce of connect.challenge. */
bool claw_read_challenge(struct slice payload, char ret_nonce[CLAW_TOKEN_MAX]);

/* What hello-ok says; what it does not say is the default. */
struct claw_hello {
    uint32_t protocol;
    uint32_t tick_interval_ms;
    uint64_t payload_max;
    char device_token[CLAW_TOKEN_MAX]; /* "": none; a device may use it instead of a token */
};
bool claw_read_hello(struct slice payload, struct claw_hello *ret_hello);

/* Why a request, or connecting, was refused. */
struct claw_refusal {
    char code[CLAW_WORD_MAX];
    char message[CLAW_TEXT_MAX];
    uint32_t retry_after_ms; /* 0: it does not say */
};
void claw_read_refusal(struct slice error, struct claw_refusal *ret_refusal);

/* --- what goes wrong, and whether it is worth another try ---------------------------------------
 */

/* A refused connect: only a gateway that is starting, or busy, may be asked again by itself. */
bool claw_refusal_is_terminal(const struct claw_refusal *refusal);
/* A connection closed with this code: a wrong token (1008), a protocol that has no version in
 * common (1002) and a frame that was too large (1009) would end the same way again. */
bool claw_close_is_terminal(uint16_t code);

/* --- what is said -------------------------------------------------------------------------------
 */

struct claw_connect {
    const char *token, *password, *device_token; /* or NULL */
    const char *version;                         /* ours */
    const char *const *scopes;                   /* NULL: read and write */
    size_t scopes_count;
    const struct claw_device *device; /* NULL: none */
    const char *nonce;                /* of the challenge; with a device */
    uint64_t now_ms;                  /* Unix time; with a device */
};

/* The frame of the request `id`. json->full: it does not fit, or the device cannot sign. */
void claw_write_connect(struct json *json, uint64_t id, const struct claw_connect *connect);
/* params: JSON that was checked; empty: {}. */
void claw_write_request(struct json *json, uint64_t id, const char *method, struct slice params);
/* How many bytes that takes at most. */
size_t claw_request_size(const char *method, struct slice params);
