/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in front of a tunnel: SOCKS5 replies and answers to CONNECT, in any pieces, lead to
 * the same state, never past what was wanted; a PROXY header is judged alike whole and growing, and
 * reads as it was written.
 */
#include "base/check.h"
#include "proto/connect.h"
#include "proto/proxy_protocol.h"
#include "proto/socks5.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct socks5 shake_hands(const char *at, size_t len, size_t step, size_t *ret_used)
{
    static const struct socks5_target target = {
        .host = SLICE("example.org"), .port = 443, .user = SLICE("me"), .password = SLICE("pw")};
    struct socks5 socks;
    char said[SOCKS5_STEP_MAX];
    check(socks5_begin(&socks, &target));
    *ret_used = 0;
    while (socks.state < SOCKS5_OPEN && *ret_used < len) {
        check(socks5_say(&socks, said) <= SOCKS5_STEP_MAX);
        size_t give = socks5_wanted(&socks);
        check(give > 0);
        give = give < step ? give : step;
        give = give < len - *ret_used ? give : len - *ret_used;
        socks5_hear(&socks, at + *ret_used, give);
        *ret_used += give;
    }
    return socks;
}

static void any_cut(const char *at, size_t len)
{
    size_t whole_used, cut_used;
    struct socks5 whole = shake_hands(at, len, len, &whole_used);
    struct socks5 cut = shake_hands(at, len, 1, &cut_used);
    check(whole.state == cut.state && whole.error == cut.error && whole_used == cut_used);
}

static struct connect ask(const char *at, size_t len, size_t step, size_t *ret_used)
{
    struct connect connect = {0};
    *ret_used = 0;
    while (connect.state == CONNECT_WAITING && *ret_used < len) {
        size_t give = connect_wanted(&connect);
        check(give > 0 && connect.heard <= CONNECT_HEAD_MAX);
        give = give < step ? give : step;
        give = give < len - *ret_used ? give : len - *ret_used;
        connect_hear(&connect, at + *ret_used, give);
        *ret_used += give;
    }
    check((connect.state != CONNECT_WAITING) == (connect_wanted(&connect) == 0));
    return connect;
}

/* What is behind the head is the tunnel's: it was not read. */
static void connects(const char *at, size_t len)
{
    size_t whole_used, cut_used;
    struct connect whole = ask(at, len, len, &whole_used);
    struct connect cut = ask(at, len, 1, &cut_used);
    check(whole.state == cut.state && whole.status == cut.status);
    if (whole.state == CONNECT_OPEN) {
        check(whole_used == cut_used && memcmp(at + whole_used - 4, "\r\n\r\n", 4) == 0);
        check(whole.status >= 200 && whole.status < 300);
    } else if (whole.state == CONNECT_FAILED) {
        check(whole.error != CONNECT_FINE && connect_error_text(whole.error)[0] != '\0');
    }
}

static void header(const char *at, size_t len)
{
    struct proxy_header whole = {.family = PROXY_LOCAL};
    struct proxy_header grown = {.family = PROXY_LOCAL};
    ssize_t said = proxy_header_read(at, len, &whole);
    ssize_t growing = 0;
    for (size_t shown = 0; shown <= len && growing == 0; shown++) {
        growing = proxy_header_read(at, shown, &grown);
    }
    check(said == growing && memcmp(&whole, &grown, sizeof whole) == 0);
    for (unsigned version = 1; said > 0 && version <= 2; version++) {
        char bytes[PROXY_WRITTEN_MAX];
        size_t written = proxy_header_write(&whole, version, bytes);
        check(proxy_header_read(bytes, written, &grown) == (ssize_t)written);
        check(memcmp(&whole, &grown, sizeof whole) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }
    any_cut((const char *)data, size);
    connects((const char *)data, size);
    header((const char *)data, size);
    return 0;
}
