/* SPDX-License-Identifier: Apache-2.0 */
#include "io/hosts.h"

#include "base/text.h"

#include <arpa/inet.h>

/* "address name name …", the comment gone. */
static bool line_has(struct slice line, struct slice name, struct ip *ret_ip)
{
    struct slice word;
    char address[INET6_ADDRSTRLEN];
    if (!slice_word(&line, &word) || slice_copy(address, sizeof address, word) >= sizeof address
        || !ip_parse(address, ret_ip)) {
        return false;
    }
    while (slice_word(&line, &word)) {
        if (slice_same_nocase(word, name)) {
            return true;
        }
    }
    return false;
}

bool hosts_find(const char *text, size_t len, const char *name, struct dns_answer *ret_answer)
{
    struct slice rest = {text, (uint32_t)len};
    struct slice wanted = slice_of(name);
    struct slice line;
    struct dns_answer answer = {0};
    while (answer.count < DNS_ADDRESSES_MAX && slice_split(&rest, '\n', &line)) {
        line = slice_sub(line, 0, slice_find(line, '#'));
        line = slice_sub(line, 0, slice_find(line, '\r'));
        if (line_has(line, wanted, &answer.at[answer.count])) {
            answer.count++;
        }
    }
    if (answer.count == 0) {
        return false;
    }
    *ret_answer = answer;
    return true;
}
