/*
 * Cuts what the workers wrote into leaves. vault/audit/sealed/cutting.py holds the same in Python and says what it is
 * for; tests hold the two equal. Big-endian.
 *
 *   frame   length u32 of the body | CRC-32 u32 of the body | body        (see vault/audit/records.py)
 *   body    kind u8 | u8 | seq u64 | time_ms u64 | principal u32 | ...
 *   entry   length u16 | leaf                                             (of a bundle)
 *   leaf    form u8 = 0 | head | offset u32 | body                        (see vault/audit/sealed/leaves.py)
 *
 * Sizes are compared with what the caller says that there is, before each read of it and each write. There is no
 * allocation, and no state but the tables of the checksum, which loading makes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../model/big_endian.h"

#define CV_VERSION 1
#define CV_EXPORT __attribute__((visibility("default")))

enum { FRAME = 8, MIN_BODY = 22, TIME_AT = 10, PRINCIPAL_AT = 18, LENGTH = 2, OFFSET = 4, MAX_ENTRY = 65535 };
enum { SLICES = 16, GAP_NAME = 8 };

typedef struct {
    const unsigned char *frames; /* whole ones, their checksums compared */
    const unsigned char *head;   /* what of a leaf says the segment */
    unsigned char *out;
    uint64_t frames_size, out_size;
    uint64_t used, written; /* out: bytes of `frames`, and of `out` */
    uint64_t first_ms, last_ms, principals;
    uint32_t head_size, offset /* of `frames` in the segment */, limit /* of leaves */;
    uint32_t leaves; /* out */
} cv_cutting;

typedef struct {
    uint64_t used;    /* bytes of whole frames */
    uint32_t records; /* in them */
    uint32_t suspects; /* of these: acts that may be gaps */
} cv_found;

static uint32_t crc_of[SLICES][256];

__attribute__((constructor)) static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        crc_of[0][i] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++)
        for (int i = 0; i < 256; i++)
            crc_of[slice][i] = crc_of[slice - 1][i] >> 8 ^ crc_of[0][crc_of[slice - 1][i] & 255];
}

#define FOUR(slice, word)                                                                        \
    (crc_of[(slice) + 3][(word) & 255] ^ crc_of[(slice) + 2][(word) >> 8 & 255] ^                \
     crc_of[(slice) + 1][(word) >> 16 & 255] ^ crc_of[slice][(word) >> 24])

/* CRC-32 as zlib's, sixteen bytes a step ("slicing"). */
static uint32_t crc32(const unsigned char *data, uint64_t size)
{
    uint32_t crc = ~0u, words[SLICES / 4];

    for (; size >= SLICES; data += SLICES, size -= SLICES) {
        memcpy(words, data, sizeof words);
        words[0] ^= crc;
        crc = FOUR(12, words[0]) ^ FOUR(8, words[1]) ^ FOUR(4, words[2]) ^ FOUR(0, words[3]);
    }
    for (; size > 0; data++, size--)
        crc = crc >> 8 ^ crc_of[0][(crc ^ *data) & 255];
    return ~crc;
}

/* Whether an act's body names one that stands for a gap, or something else does. */
static int may_be_gap(const unsigned char *body, uint64_t size)
{
    const unsigned char *end = body + size, *at = body;

    if (body[0] != 'A')
        return 0;
    while ((at = memchr(at, 'A', (size_t)(end - at))) != NULL && end - at >= GAP_NAME)
        if (memcmp(at++, "AuditGap", GAP_NAME) == 0)
            return 1;
    return 0;
}

/* The whole frames that `data` begins with: lengths that fit, and checksums that are right. */
CV_EXPORT void cv_find(const unsigned char *data, uint64_t size, cv_found *found)
{
    memset(found, 0, sizeof *found);
    for (uint64_t at = 0; size - at >= FRAME + MIN_BODY;) {
        uint64_t length = get(data + at, 4);
        const unsigned char *body = data + at + FRAME;
        if (length < MIN_BODY || length > size - at - FRAME || crc32(body, length) != get(data + at + 4, 4))
            return;
        found->used = at += FRAME + length;
        found->records++;
        found->suspects += (uint32_t)may_be_gap(body, length);
    }
}

/* Makes leaves up to a limit, to the end of the frames, of `out`, or to a record that takes several leaves. */
CV_EXPORT void cv_cut(cv_cutting *job)
{
    uint64_t around = 1 + (uint64_t)job->head_size + OFFSET;

    job->used = job->written = job->last_ms = job->principals = job->leaves = 0;
    job->first_ms = UINT64_MAX;
    while (job->leaves < job->limit && job->frames_size - job->used >= FRAME + MIN_BODY) {
        const unsigned char *frame = job->frames + job->used, *body = frame + FRAME;
        unsigned char *out = job->out + job->written;
        uint64_t length = get(frame, 4), entry = around + length, time_ms;
        if (length < MIN_BODY || length > job->frames_size - job->used - FRAME || entry > MAX_ENTRY)
            return;
        if (LENGTH + entry > job->out_size - job->written)
            return;
        put(out, entry, LENGTH);
        out[LENGTH] = 0;
        memcpy(out += LENGTH + 1, job->head, job->head_size);
        put(out += job->head_size, job->offset + job->used, OFFSET);
        memcpy(out + OFFSET, body, length);
        time_ms = get(body + TIME_AT, 8);
        job->first_ms = time_ms < job->first_ms ? time_ms : job->first_ms;
        job->last_ms = time_ms > job->last_ms ? time_ms : job->last_ms;
        job->principals |= (uint64_t)1 << get(body + PRINCIPAL_AT, 4) % 64;
        job->used += FRAME + length;
        job->written += LENGTH + entry;
        job->leaves++;
    }
}

CV_EXPORT int cv_version(void) { return CV_VERSION; }
CV_EXPORT size_t cv_cutting_bytes(void) { return sizeof(cv_cutting); }
CV_EXPORT size_t cv_found_bytes(void) { return sizeof(cv_found); }
