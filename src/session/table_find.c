/* SPDX-License-Identifier: Apache-2.0
 *
 * table_find.c - from an id to its record: a hash table of lines, each a line of the cache.
 *
 * The high half of the hash says which line is an id's home, its low byte is the tag. Where the
 * home is full the next line with room takes it, and every line that was passed counts that, so
 * that a search ends at the first line that nobody has passed. Nothing moves when one goes, and
 * tags are compared all at once: a search that finds has one branch that could be foreseen wrongly,
 * so that searches that follow each other wait for memory together.
 */
#include "session/table_parts.h"

#define ONES  UINT64_C(0x0101010101010101)
#define FIRST 8U /* tags of the first half of them; the second has four */

/* wyhash's multiplication, of an id and a secret of as many bits: nobody can aim whom the secret is
 * unknown to, and what is looked for next begins before this is found. */
static uint64_t hash_of(const struct table *table, struct session_id id)
{
    unsigned __int128 m = (unsigned __int128)(id.high ^ table->head->key.low)
                          * (id.low ^ table->head->key.high);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint32_t home_of(const struct table *table, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * table->head->lines_count >> 32);
}

static uint32_t after(const struct table *table, uint32_t line)
{
    return line + 1 < table->head->lines_count ? line + 1 : 0;
}

/* 0 is the tag of what is free. */
static uint8_t tag_of(uint64_t hash)
{
    return (uint8_t)hash != 0 ? (uint8_t)hash : 1;
}

/* Who in the line has the tag: a bit of two bytes' lowest for each place, for match_slot(). What
 * lies behind the tags is compared with them, and is not asked for. */
static uint64_t match(const struct table_line *line, uint8_t tag)
{
    typedef uint8_t bytes __attribute__((vector_size(16)));
    bytes tags;
    uint64_t halves[2];
    memcpy(&tags, line, sizeof tags);
    bytes same = (bytes)(tags == (tags & 0) + tag);
    memcpy(halves, &same, sizeof halves);
    return (halves[0] & ONES) | (halves[1] & (uint32_t)ONES) << 1;
}

static unsigned match_slot(uint64_t matches)
{
    unsigned bit = (unsigned)__builtin_ctzll(matches);
    return bit / 8 + (bit % 8) * FIRST;
}

void table_fetch(const struct table *table, struct session_id id)
{
    __builtin_prefetch(&table->lines[home_of(table, hash_of(table, id))], 1);
}

struct session *ids_find(const struct table *table, struct session_id id)
{
    uint64_t hash = hash_of(table, id);
    uint32_t at = home_of(table, hash);
    for (uint32_t rest = table->head->lines_count; rest > 0; rest--, at = after(table, at)) {
        const struct table_line *line = &table->lines[at];
        for (uint64_t m = match(line, tag_of(hash)); m != 0; m &= m - 1) {
            struct session *session = session_nth(table, line->sessions[match_slot(m)]);
            if (session_id_same(session->id, id)) {
                return session;
            }
        }
        if (line->passed == 0) {
            break;
        }
    }
    return NULL;
}

/* There are more places than records. */
void ids_put(struct table *table, const struct session *session)
{
    uint64_t hash = hash_of(table, session->id), room;
    struct table_line *line = &table->lines[home_of(table, hash)];
    while ((room = match(line, 0)) == 0) {
        line->passed++;
        line = &table->lines[after(table, (uint32_t)(line - table->lines))];
    }
    line->tags[match_slot(room)] = tag_of(hash);
    line->sessions[match_slot(room)] = session_one(table, session);
}

static bool line_remove(struct table_line *line, uint8_t tag, uint32_t one)
{
    for (uint64_t m = match(line, tag); m != 0; m &= m - 1) {
        if (line->sessions[match_slot(m)] == one) {
            line->sessions[match_slot(m)] = 0;
            line->tags[match_slot(m)] = 0;
            return true;
        }
    }
    return false;
}

void ids_remove(struct table *table, const struct session *session)
{
    uint64_t hash = hash_of(table, session->id);
    uint32_t one = session_one(table, session);
    struct table_line *line = &table->lines[home_of(table, hash)];
    while (!line_remove(line, tag_of(hash), one)) {
        check(line->passed > 0);
        line->passed--;
        line = &table->lines[after(table, (uint32_t)(line - table->lines))];
    }
}
