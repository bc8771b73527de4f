/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_device.h - who a client is to an OpenClaw gateway: an Ed25519 key (RFC 8032), whose name
 * is the SHA-256 of its public half, and which signs the challenge.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLAW_SEED_BYTES    32U
#define CLAW_KEY_BYTES     32U
#define CLAW_DEVICE_ID_LEN 64U /* hex */
#define CLAW_BASE64_MAX    90U /* a key or a signature in base64url, with a NUL */

struct claw_device {
    uint8_t seed[CLAW_SEED_BYTES]; /* the private half: what is kept in the file */
    uint8_t key[CLAW_KEY_BYTES];   /* the public half */
    char id[CLAW_DEVICE_ID_LEN + 1];
};

/* The device of a seed, which nobody must be able to foretell. False: the library cannot. */
bool claw_device_of(const uint8_t seed[CLAW_SEED_BYTES], struct claw_device *ret_device);

/* Signs a text; base64url without padding. */
bool claw_device_sign(const struct claw_device *device, struct slice text,
                      char ret_signature[CLAW_BASE64_MAX]);
void claw_device_key_text(const struct claw_device *device, char ret_key[CLAW_BASE64_MAX]);

/* A gateway's side of it: the id of a key as claw_device_key_text() writes it; false: it is none.
 */
bool claw_device_id_of(const char *key, char ret_id[CLAW_DEVICE_ID_LEN + 1]);
/* Whether that key has signed the text. */
bool claw_device_verify(const char *key, const char *signature, struct slice text);
