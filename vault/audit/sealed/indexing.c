/*
 * What a bundle of the sealed access log mentions, and the sorted runs of the index. vault/audit/sealed/indexing.py
 * holds the same in Python and says what it is for; tests hold the two equal. Big-endian.
 *
 *   bundle   length u16 | leaf, one after the other
 *   leaf     form u8 | length u8, worker | 14 bytes | body          (see vault/audit/sealed/leaves.py)
 *   read     "R" | call u8 | seq u64 | time_ms u64 | principal u32 | purpose u32 | n u8 | n x 5 bytes, the first
 *            an outcome | groups to the end                         (see vault/audit/records.py)
 *   group    locator 16 | count u16 | count x (value_no u24 | class u8 | outcome u8)
 *   entry    locator's first 8 bytes | leaf u40                     (of the index)
 *
 * Only whole reads are taken apart here; the places of other leaves are told. Sizes are compared with what the
 * caller says that there is, before each read of it and each write. There is no state and no allocation.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../model/big_endian.h"

#define CV_VERSION 2
#define CV_EXPORT __attribute__((visibility("default")))

enum { HEAD = 2, NUMBERS = 14, PURPOSE_AT = 22, UNKNOWN_AT = 26, READ = 27, UNKNOWN = 5 };
enum { LOCATOR = 16, GROUP = LOCATOR + 2, ITEM = 5, CLASS_AT = 3, OUTCOME_AT = 4 };
enum { KEY = 8, LEAF = 5, ENTRY = KEY + LEAF, RUNS = 8, LEAVES = 256 };
enum { REFUSED = -1 /* sizes that do not fit */ };
enum { FAR = 8 /* places that an entry may have to move, on average */ };

typedef unsigned __int128 ranked;

static inline ranked lesser(ranked one, ranked other) { return one < other ? one : other; }

typedef struct {
    uint64_t purposes;                               /* bit n modulo 64 */
    unsigned char calls[256], classes[256], outcomes[256]; /* 1 where there is one */
} cv_seen;

typedef struct {
    const unsigned char *at[RUNS], *end[RUNS]; /* of each run: where it stands, and its end */
    unsigned char *out;
    uint64_t room;
    uint32_t runs;
} cv_merging;

/* A record in a bundle: its groups, or NULL where it is no whole read. */
typedef struct {
    const unsigned char *body, *groups, *end;
} record;

/* How long a group is. Most are of one value: told apart by a branch, which is foreseen, so that nothing waits for the
 * count before it goes on to the next. */
static inline ptrdiff_t group_bytes(const unsigned char *group)
{
    uint64_t count = get(group + LOCATOR, 2);

    return __builtin_expect(count == 1, 1) ? GROUP + ITEM : GROUP + ITEM * (ptrdiff_t)count;
}

/* The leaf that `*at` begins with, which then is the next one; 0 where it is cut. */
static int next_leaf(const unsigned char **at, const unsigned char *end, record *found)
{
    const unsigned char *leaf = *at + HEAD, *group;

    if (end - *at < HEAD || (uint64_t)(end - leaf) < get(*at, HEAD))
        return 0;
    *at = found->end = leaf + get(*at, HEAD);
    found->groups = NULL;
    if (found->end - leaf < 2 || leaf[0] != 0 || found->end - leaf < 2 + leaf[1] + NUMBERS + READ)
        return 1;
    found->body = leaf + 2 + leaf[1] + NUMBERS;
    if (found->body[0] != 'R' || found->end - found->body - READ < UNKNOWN * found->body[UNKNOWN_AT])
        return 1;
    group = found->body + READ + UNKNOWN * found->body[UNKNOWN_AT];
    found->groups = group;
    while (group < found->end) {
        if (found->end - group < GROUP || found->end - group < group_bytes(group)) {
            found->groups = NULL;
            break;
        }
        group += group_bytes(group);
    }
    return 1;
}

/* Entries of the reads in a bundle, not in order: how many, or REFUSED. `first` is the number of its first leaf; the
 * places of leaves that are no whole reads go to `others`, of 256, and how many there are to `other_count`. */
CV_EXPORT int64_t cv_mention(const unsigned char *bundle, uint64_t size, uint64_t first, unsigned char *out,
                             uint64_t room, uint16_t *others, uint32_t *other_count)
{
    const unsigned char *at = bundle, *end = bundle + size;
    int64_t made = 0;
    record found;

    *other_count = 0;
    for (uint32_t place = 0; at < end; place++) {
        if (place == LEAVES || !next_leaf(&at, end, &found))
            return REFUSED;
        if (found.groups == NULL) {
            others[(*other_count)++] = (uint16_t)place;
            continue;
        }
        for (const unsigned char *group = found.groups; group < found.end; made++) {
            if (room < ENTRY)
                return REFUSED;
            memcpy(out, group, KEY);
            put(out + KEY, first + place, LEAF);
            out += ENTRY, room -= ENTRY;
            group += group_bytes(group);
        }
    }
    return made;
}

/* What the reads in a bundle are about: 0, or REFUSED. */
CV_EXPORT int cv_look(const unsigned char *bundle, uint64_t size, cv_seen *seen, uint16_t *others,
                      uint32_t *other_count)
{
    const unsigned char *at = bundle, *end = bundle + size;
    record found;

    memset(seen, 0, sizeof *seen);
    *other_count = 0;
    for (uint32_t place = 0; at < end; place++) {
        if (place == LEAVES || !next_leaf(&at, end, &found))
            return REFUSED;
        if (found.groups == NULL) {
            others[(*other_count)++] = (uint16_t)place;
            continue;
        }
        seen->calls[found.body[1]] = 1;
        seen->purposes |= (uint64_t)1 << get(found.body + PURPOSE_AT, 4) % 64;
        for (const unsigned char *unknown = found.body + READ; unknown < found.groups; unknown += UNKNOWN)
            seen->outcomes[*unknown] = 1;
        for (const unsigned char *group = found.groups; group < found.end;) {
            const unsigned char *item = group + GROUP;
            for (group += group_bytes(group); item < group; item += ITEM) {
                seen->classes[item[CLASS_AT]] = 1;
                seen->outcomes[item[OUTCOME_AT]] = 1;
            }
        }
    }
    return 0;
}

/* Entries by their first `bits` bits, into `sorted`: equal ones in the order in which they were. */
static void by_bits(const unsigned char *entries, uint64_t count, unsigned char *sorted, uint32_t *starts, int bits)
{
    uint32_t sum = 0;

    memset(starts, 0, sizeof *starts << bits);
    for (uint64_t i = 0; i < count; i++)
        starts[get(entries + i * ENTRY, KEY) >> (64 - bits)]++;
    for (uint64_t place = 0; place < (uint64_t)1 << bits; place++) {
        uint32_t with = starts[place];
        starts[place] = sum;
        sum += with;
    }
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *entry = entries + i * ENTRY;
        memcpy(sorted + (uint64_t)ENTRY * starts[get(entry, KEY) >> (64 - bits)]++, entry, ENTRY);
    }
}

/* Entries by all of their bytes, the last one first (radix sort). Returns where they are then: there, or in `other`. */
static unsigned char *by_bytes(unsigned char *entries, uint64_t count, unsigned char *other)
{
    unsigned char *from = entries, *to = other, *swap;

    for (int byte = ENTRY - 1; byte >= 0; byte--, swap = from, from = to, to = swap) {
        uint64_t starts[256] = {0}, sum = 0;
        for (uint64_t i = 0; i < count; i++)
            starts[from[i * ENTRY + byte]]++;
        for (int i = 0; i < 256; i++) {
            uint64_t with = starts[i];
            starts[i] = sum;
            sum += with;
        }
        for (uint64_t i = 0; i < count; i++)
            memcpy(to + starts[from[i * ENTRY + byte]]++ * ENTRY, from + i * ENTRY, ENTRY);
    }
    return from;
}

/* Moves each entry down to its place, which should not be far: 0 where it is, over all, and they are left in disorder. */
static int settle(unsigned char *entries, uint64_t count)
{
    unsigned char held[ENTRY];
    uint64_t moves = FAR * count;

    for (unsigned char *at = entries + ENTRY, *end = entries + count * ENTRY; at < end; at += ENTRY) {
        unsigned char *to = at;
        if (get(at - ENTRY, KEY) < get(at, KEY) || memcmp(at - ENTRY, at, ENTRY) <= 0)
            continue;
        memcpy(held, at, ENTRY);
        do {
            memcpy(to, to - ENTRY, ENTRY);
            to -= ENTRY;
            if (moves-- == 0) {
                memcpy(to, held, ENTRY);
                return 0;
            }
        } while (to > entries && memcmp(to - ENTRY, held, ENTRY) > 0);
        memcpy(to, held, ENTRY);
    }
    return 1;
}

/* Puts entries in ascending order, and drops those that are there twice. Returns how many are left. `scratch` is as
 * large as `entries`; there are 2^bits `starts`. Locators are random: by so many first bits, few are far from their
 * place. Where they turn out not to be random, all bytes are sorted by. */
CV_EXPORT uint64_t cv_sort(unsigned char *entries, uint64_t count, unsigned char *scratch, uint32_t *starts, int bits)
{
    unsigned char *sorted = scratch, *end = entries;

    if (count == 0 || count > UINT32_MAX || bits < 1 || bits > 32)
        return 0;
    by_bits(entries, count, sorted, starts, bits);
    if (!settle(sorted, count))
        sorted = by_bytes(sorted, count, entries);
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *entry = sorted + i * ENTRY;
        if (i == 0 || get(end - ENTRY, KEY) != get(entry, KEY) || memcmp(end - ENTRY, entry, ENTRY) != 0) {
            memmove(end, entry, ENTRY);
            end += ENTRY;
        }
    }
    return (uint64_t)(end - entries) / ENTRY;
}

/* The entry at which a run stands, as a number, the run's own in its last byte; the largest one at its end. */
static inline ranked rank(const cv_merging *job, uint32_t run)
{
    const unsigned char *at = job->at[run];

    if (run >= job->runs || job->end[run] - at < ENTRY)
        return ~(ranked)0;
    return (ranked)get(at, KEY) << 64 | (get(at + KEY, LEAF) << 8 | run);
}

/* The next entries of all runs, each ascending, in ascending order, as far as there is room: how many bytes. A
 * tournament: each place of the tree has the lesser of the two below it. */
CV_EXPORT uint64_t cv_merge(cv_merging *job)
{
    ranked tree[2 * RUNS];
    uint64_t written = 0;

    for (uint32_t run = 0; run < RUNS; run++)
        tree[RUNS + run] = rank(job, run);
    for (uint32_t place = RUNS - 1; place > 0; place--)
        tree[place] = lesser(tree[2 * place], tree[2 * place + 1]);
    while (job->room - written >= ENTRY && tree[1] != ~(ranked)0) {
        uint32_t run = (uint32_t)tree[1] & 255;
        memcpy(job->out + written, job->at[run], ENTRY);
        written += ENTRY;
        job->at[run] += ENTRY;
        tree[RUNS + run] = rank(job, run);
        for (uint32_t place = (RUNS + run) / 2; place > 0; place /= 2)
            tree[place] = lesser(tree[2 * place], tree[2 * place + 1]);
    }
    return written;
}

CV_EXPORT int cv_version(void) { return CV_VERSION; }
CV_EXPORT size_t cv_seen_bytes(void) { return sizeof(cv_seen); }
CV_EXPORT size_t cv_merging_bytes(void) { return sizeof(cv_merging); }
