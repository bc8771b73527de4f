/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_identity.h - a device's secret and the tokens that gateways gave to it, kept in a file.
 *
 * The file is ours alone: made with mode 0600, whole or not at all (a name appears when all is
 * written), and refused when others may read it or somebody else owns it: who has read it can speak
 * as us. Any thread; reading and writing block, for a file of a few hundred bytes.
 */
#pragma once
#include "base/alloc.h"
#include "proto/openclaw.h"

#define CLAW_IDENTITY_TOKENS_MAX 64U /* gateways; the eldest gives way */
#define CLAW_FAULT_MAX           400U

struct claw_identity;

/* Reads the file, or makes one with a new device. 0, or -errno and why (-EPERM: others may read it;
 * -EINVAL: it holds something else). */
int claw_identity_open(const char *path, const struct alloc *alloc,
                       struct claw_identity **ret_identity, char ret_fault[CLAW_FAULT_MAX]);
/* One more user, who frees it, too. Any thread. */
struct claw_identity *claw_identity_join(struct claw_identity *identity);
void claw_identity_free(struct claw_identity *take_identity);

/* Does not change. */
const struct claw_device *claw_identity_device(const struct claw_identity *identity);

/* What this gateway ("host:port") gave us; false: nothing. */
bool claw_identity_token(struct claw_identity *identity, const char *gateway,
                         char ret_token[CLAW_TOKEN_MAX]);
/* Keeps it, also in the file; token "": forgets. 0, or -errno: it is kept in memory alone. */
int claw_identity_keep(struct claw_identity *identity, const char *gateway, const char *token);
