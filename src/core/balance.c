/* SPDX-License-Identifier: Apache-2.0 */
#include "core/balance.h"

#include "base/check.h"

/* Who takes part in one choice. */
struct field {
    struct balance_peer *peers;
    uint32_t count;
    uint32_t except;
    uint8_t standing;
    uint32_t tier;   /* at most */
    uint64_t weight; /* of all who take part */
};

static struct field field_of(const struct balance *balance, struct balance_peer *peers,
                             uint32_t count, uint32_t except);
static bool takes_part(const struct field *field, uint32_t i);
static uint32_t choose_two(struct balance *balance, struct field *field);
static uint32_t choose_least_busy(struct balance *balance, const struct field *field);
static uint32_t choose_turn(const struct field *field);
static uint32_t choose_rendezvous(const struct field *field, uint64_t hash);

void balance_init(struct balance *balance, enum balance_method method, uint64_t seed)
{
    balance->method = method;
    rand_init(&balance->rand, seed);
}

uint32_t balance_choose(struct balance *balance, struct balance_peer *peers, uint32_t count,
                        uint64_t hash, uint32_t except)
{
    struct field field = field_of(balance, peers, count, except);
    if (field.weight == 0) {
        return BALANCE_NOBODY;
    }
    switch (balance->method) { /* cover: every method is named */
    case BALANCE_TWO_CHOICES:
    case BALANCE_LOWEST_TIER: return choose_two(balance, &field);
    case BALANCE_LEAST_BUSY: return choose_least_busy(balance, &field);
    case BALANCE_EACH_IN_TURN: return choose_turn(&field);
    case BALANCE_RENDEZVOUS: return choose_rendezvous(&field, hash);
    }
    unreachable();
}

static struct field field_of(const struct balance *balance, struct balance_peer *peers,
                             uint32_t count, uint32_t except)
{
    struct field field = {.peers = peers,
                          .count = count,
                          .except = except,
                          .standing = BALANCE_DOUBTED,
                          .tier = UINT32_MAX};
    for (uint32_t i = 0; i < count; i++) {
        if (takes_part(&field, i) && peers[i].standing > field.standing) {
            field.standing = peers[i].standing;
        }
    }
    if (balance->method == BALANCE_LOWEST_TIER) {
        for (uint32_t i = 0; i < count; i++) {
            if (takes_part(&field, i)) {
                field.tier = peers[i].tier;
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        field.weight += takes_part(&field, i) ? peers[i].weight : 0;
    }
    return field;
}

static bool takes_part(const struct field *field, uint32_t i)
{
    const struct balance_peer *peer = &field->peers[i];
    return i != field->except && peer->weight > 0 && peer->standing >= field->standing
           && peer->tier <= field->tier;
}

/* Busy for its weight, a against b; the request to come is counted, so that an idle peer of twice
 * the weight is the better one. */
static bool is_less_busy(const struct balance_peer *a, const struct balance_peer *b)
{
    return ((uint64_t)a->busy + 1) * b->weight < ((uint64_t)b->busy + 1) * a->weight;
}

/* One at random, by weight, leaving out `without`. */
static uint32_t draw(struct balance *balance, const struct field *field, uint32_t without)
{
    uint64_t weight = field->weight;
    if (without != BALANCE_NOBODY) {
        weight -= field->peers[without].weight;
    }
    uint64_t ticket = rand_below(&balance->rand, weight);
    for (uint32_t i = 0; i < field->count; i++) { /* cover: the ticket is somebody's */
        if (i == without || !takes_part(field, i)) {
            continue;
        }
        if (ticket < field->peers[i].weight) {
            return i;
        }
        ticket -= field->peers[i].weight;
    }
    unreachable();
}

/* The draw has respected the weights already: what is compared is how busy each is for its own. */
static uint32_t choose_two(struct balance *balance, struct field *field)
{
    uint32_t first = draw(balance, field, BALANCE_NOBODY);
    if (field->weight == field->peers[first].weight) {
        return first;
    }
    uint32_t second = draw(balance, field, first);
    const struct balance_peer *a = &field->peers[first], *b = &field->peers[second];
    return (uint64_t)b->busy * a->weight < (uint64_t)a->busy * b->weight ? second : first;
}

static uint32_t choose_least_busy(struct balance *balance, const struct field *field)
{
    uint32_t best = BALANCE_NOBODY, ties = 0;
    for (uint32_t i = 0; i < field->count; i++) {
        if (!takes_part(field, i)) {
            continue;
        }
        if (best == BALANCE_NOBODY || is_less_busy(&field->peers[i], &field->peers[best])) {
            best = i;
            ties = 1;
        } else if (!is_less_busy(&field->peers[best], &field->peers[i])
                   && rand_below(&balance->rand, ++ties) == 0) {
            best = i;
        }
    }
    return best;
}

/* Everybody gains its weight, the richest is asked and pays for all: nginx's smooth round robin. */
static uint32_t choose_turn(const struct field *field)
{
    uint32_t best = BALANCE_NOBODY;
    for (uint32_t i = 0; i < field->count; i++) {
        if (!takes_part(field, i)) {
            continue;
        }
        field->peers[i].turn += field->peers[i].weight;
        if (best == BALANCE_NOBODY || field->peers[i].turn > field->peers[best].turn) {
            best = i;
        }
    }
    field->peers[best].turn -= (int64_t)field->weight;
    return best;
}

/* -log2(u / 2^64) in 1/2^16, for u > 0; within a hundredth. */
static uint64_t minus_log2(uint64_t u)
{
    unsigned zeros = (unsigned)__builtin_clzll(u);
    uint64_t fraction = ((u << zeros) & INT64_MAX) >> 47;  /* u = 2^(63 - zeros) * (1 + f / 2^16) */
    uint64_t bend = (fraction * (65536 - fraction)) >> 16; /* log2(1 + f) ~ f + 0.3437 f (1 - f) */
    return ((uint64_t)(zeros + 1) << 16) - fraction - ((bend * 22525) >> 16);
}

/* Each peer draws an exponential of its weight from the hash; the shortest wins, so a peer that
 * leaves or comes moves only its own share (Thaler and Ravishankar 1998, weighted). */
static uint32_t choose_rendezvous(const struct field *field, uint64_t hash)
{
    uint32_t best = BALANCE_NOBODY;
    uint64_t best_cost = 0;
    for (uint32_t i = 0; i < field->count; i++) {
        if (!takes_part(field, i)) {
            continue;
        }
        const struct balance_peer *peer = &field->peers[i];
        uint64_t cost = (minus_log2(rand_mix(hash ^ peer->hash) | 1) << 24) / peer->weight;
        if (best == BALANCE_NOBODY || cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best;
}
