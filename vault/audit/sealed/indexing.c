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

#define CV_VERSION 1
#define CV_EXPORT __attribute__((visibility("default")))

enum { HEAD = 2, NUMBERS = 14, PURPOSE_AT = 22, UNKNOWN_AT = 26, READ = 27, UNKNOWN = 5 };
enum { LOCATOR = 16, GROUP = LOCATOR + 2, ITEM = 5, CLASS_AT = 3, OUTCOME_AT = 4 };
enum { KEY = 8, LEAF = 5, ENTRY = KEY + LEAF, RUNS = 8, LEAVES = 256 };
enum { REFUSED = -1 /* sizes that do not fit */ };

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
        if (found->end - group < GROUP || found->end - group - GROUP < ITEM * (ptrdiff_t)get(group + LOCATOR, 2)) {
            found->groups = NULL;
            break;
        }
        group += GROUP + ITEM * get(group + LOCATOR, 2);
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
            group += GROUP + ITEM * get(group + LOCATOR, 2);
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
            for (group = item + ITEM * get(group + LOCATOR, 2); item < group; item += ITEM) {
                seen->classes[item[CLASS_AT]] = 1;
                seen->outcomes[item[OUTCOME_AT]] = 1;
            }
        }
    }
    return 0;
}

/* Puts entries in ascending order, byte by byte from the last one (radix sort), and drops those that are there
 * twice. Returns how many are left. `scratch` is as large as `entries`. */
CV_EXPORT uint64_t cv_sort(unsigned char *entries, uint64_t count, unsigned char *scratch)
{
    unsigned char *from = entries, *to = scratch, *last = entries;

    for (int byte = ENTRY - 1; byte >= 0; byte--) {
        uint64_t starts[256] = {0}, sum = 0;
        for (uint64_t i = 0; i < count; i++)
            starts[from[i * ENTRY + byte]]++;
        if (count == 0 || starts[from[byte]] == count)
            continue;
        for (int i = 0; i < 256; i++) {
            uint64_t with = starts[i];
            starts[i] = sum;
            sum += with;
        }
        for (uint64_t i = 0; i < count; i++)
            memcpy(to + starts[from[i * ENTRY + byte]]++ * ENTRY, from + i * ENTRY, ENTRY);
        unsigned char *other = from;
        from = to, to = other;
    }
    if (from != entries)
        memcpy(entries, from, count * ENTRY);
    for (uint64_t i = 1; i < count; i++)
        if (memcmp(last, entries + i * ENTRY, ENTRY) != 0)
            memmove(last += ENTRY, entries + i * ENTRY, ENTRY);
    return count == 0 ? 0 : (uint64_t)(last - entries) / ENTRY + 1;
}

/* The next entries of all runs, each ascending, in ascending order, as far as there is room: how many bytes. */
CV_EXPORT uint64_t cv_merge(cv_merging *job)
{
    uint64_t keys[RUNS], leaves[RUNS], written = 0;
    uint32_t runs = job->runs < RUNS ? job->runs : RUNS;

    for (uint32_t i = 0; i < runs; i++)
        if (job->end[i] - job->at[i] >= ENTRY)
            keys[i] = get(job->at[i], KEY), leaves[i] = get(job->at[i] + KEY, LEAF);
    while (job->room - written >= ENTRY) {
        uint32_t least = RUNS;
        for (uint32_t i = 0; i < runs; i++)
            if (job->end[i] - job->at[i] >= ENTRY &&
                (least == RUNS || keys[i] < keys[least] || (keys[i] == keys[least] && leaves[i] < leaves[least])))
                least = i;
        if (least == RUNS)
            break;
        memcpy(job->out + written, job->at[least], ENTRY);
        written += ENTRY;
        job->at[least] += ENTRY;
        if (job->end[least] - job->at[least] >= ENTRY)
            keys[least] = get(job->at[least], KEY), leaves[least] = get(job->at[least] + KEY, LEAF);
    }
    return written;
}

CV_EXPORT int cv_version(void) { return CV_VERSION; }
CV_EXPORT size_t cv_seen_bytes(void) { return sizeof(cv_seen); }
CV_EXPORT size_t cv_merging_bytes(void) { return sizeof(cv_merging); }
