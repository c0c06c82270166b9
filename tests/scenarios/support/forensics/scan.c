/* Looks for known bytes at every offset of a buffer: as they are, or after decryption.

   Decryption is the first 32 bytes of XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) without its tag:
   nonce 24 at the offset, ciphertext behind it, keystream block 1 under HChaCha20(key, nonce[0..16]).
   Eight offsets at a time, with the vector extension of GCC and Clang. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
#define NONCE 24
#define BLOCK 32
#define EMPTY UINT32_MAX

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

struct needles {
    size_t width, count;
    uint64_t mask;
    uint8_t *bytes, *bits;
    uint32_t *slots;
};

static uint64_t head_of(const uint8_t *at)
{
    uint64_t head;
    memcpy(&head, at, 8);
    return head * UINT64_C(0x9E3779B97F4A7C15);
}

void cv_needles_free(struct needles *known)
{
    if (known) {
        free(known->bytes);
        free(known->bits);
        free(known->slots);
        free(known);
    }
}

/* `count` strings of `width` bytes, 8 at least, one after the other. */
struct needles *cv_needles_new(const uint8_t *bytes, size_t count, size_t width)
{
    struct needles *known = calloc(1, sizeof *known);
    uint64_t size = 64;
    if (!known)
        return NULL;
    while (size < 4 * count)
        size *= 2;
    known->width = width;
    known->count = count;
    known->mask = size - 1;
    known->bytes = malloc(count * width + 1);
    known->bits = calloc(1, 8 * size);
    known->slots = malloc(size * sizeof *known->slots);
    if (!known->bytes || !known->bits || !known->slots) {
        cv_needles_free(known);
        return NULL;
    }
    memcpy(known->bytes, bytes, count * width);
    memset(known->slots, 0xFF, size * sizeof *known->slots);
    for (uint32_t which = 0; which < count; which++) {
        uint64_t head = head_of(bytes + which * width), slot = head >> 32 & known->mask;
        while (known->slots[slot] != EMPTY)
            slot = (slot + 1) & known->mask;
        known->slots[slot] = which;
        known->bits[(head >> 20 & (64 * size - 1)) >> 3] |= 1 << (head >> 20 & 7);
    }
    return known;
}

static uint32_t which_is(const struct needles *known, const uint8_t *at)
{
    uint64_t head = head_of(at), bit = head >> 20 & (64 * (known->mask + 1) - 1);
    if (!(known->bits[bit >> 3] >> (bit & 7) & 1))
        return EMPTY;
    for (uint64_t slot = head >> 32 & known->mask; known->slots[slot] != EMPTY; slot = (slot + 1) & known->mask)
        if (!memcmp(known->bytes + known->slots[slot] * known->width, at, known->width))
            return known->slots[slot];
    return EMPTY;
}

/* Writes (offset, needle) of up to `room` findings; returns how many there are. */
size_t cv_find(const struct needles *known, const uint8_t *data, size_t size, uint64_t *found, size_t room)
{
    size_t count = 0;
    for (size_t at = 0; at + known->width <= size; at++) {
        uint32_t which = which_is(known, data + at);
        if (which != EMPTY && count++ < room) {
            found[2 * count - 2] = at;
            found[2 * count - 1] = which;
        }
    }
    return count;
}

static inline lanes turned(lanes x, int by)
{
    return x << by | x >> (32 - by);
}

#define QUARTER(a, b, c, d)                                     \
    a += b, d = turned(d ^ a, 16), c += d, b = turned(b ^ c, 12), \
    a += b, d = turned(d ^ a, 8), c += d, b = turned(b ^ c, 7)

static void twenty_rounds(lanes x[16])
{
    for (int round = 0; round < 10; round++) {
        QUARTER(x[0], x[4], x[8], x[12]);
        QUARTER(x[1], x[5], x[9], x[13]);
        QUARTER(x[2], x[6], x[10], x[14]);
        QUARTER(x[3], x[7], x[11], x[15]);
        QUARTER(x[0], x[5], x[10], x[15]);
        QUARTER(x[1], x[6], x[11], x[12]);
        QUARTER(x[2], x[7], x[8], x[13]);
        QUARTER(x[3], x[4], x[9], x[14]);
    }
}

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The keystream of block 1 for the nonces that begin at data, data + 1, ... */
static void keystreams(const uint32_t key[8], const uint8_t *data, lanes out[8])
{
    static const uint32_t constant[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    lanes x[16], start[16], none = {0};
    for (int i = 0; i < 4; i++)
        start[i] = none + constant[i];
    for (int i = 0; i < 4; i++)
        x[i] = start[i];
    for (int i = 0; i < 8; i++)
        x[4 + i] = none + key[i];
    for (int i = 0; i < 4; i++)
        for (int lane = 0; lane < LANES; lane++)
            x[12 + i][lane] = word(data + lane + 4 * i);
    twenty_rounds(x);
    for (int i = 0; i < 4; i++)
        start[4 + i] = x[i], start[8 + i] = x[12 + i];
    start[12] = none + 1;
    start[13] = none;
    for (int i = 0; i < 2; i++)
        for (int lane = 0; lane < LANES; lane++)
            start[14 + i][lane] = word(data + lane + 16 + 4 * i);
    memcpy(x, start, sizeof x);
    twenty_rounds(x);
    for (int i = 0; i < 8; i++)
        out[i] = x[i] + start[i];
}

/* As cv_find, but over what each 32 bytes behind a nonce decrypt to; needles have 32 bytes. */
size_t cv_find_sealed(const struct needles *known, const uint8_t *key, const uint8_t *data, size_t size,
                      uint64_t *found, size_t room)
{
    uint32_t words[8];
    size_t count = 0, offsets = size < NONCE + BLOCK ? 0 : size - NONCE - BLOCK + 1;
    for (int i = 0; i < 8; i++)
        words[i] = word(key + 4 * i);
    for (size_t first = 0; first < offsets; first += LANES) {
        uint8_t last[LANES + NONCE + BLOCK] = {0};
        const uint8_t *from = data + first;
        size_t wanted = offsets - first < LANES ? offsets - first : LANES;
        lanes stream[8];
        if (wanted < LANES)
            from = memcpy(last, from, wanted + NONCE + BLOCK - 1);
        keystreams(words, from, stream);
        for (size_t lane = 0; lane < wanted; lane++) {
            uint8_t plain[BLOCK];
            uint32_t which;
            for (int i = 0; i < 8; i++) {
                uint32_t clear = stream[i][lane] ^ word(from + lane + NONCE + 4 * i);
                for (int byte = 0; byte < 4; byte++)
                    plain[4 * i + byte] = (uint8_t)(clear >> 8 * byte);
            }
            which = which_is(known, plain);
            if (which != EMPTY && count++ < room) {
                found[2 * count - 2] = first + lane;
                found[2 * count - 1] = which;
            }
        }
    }
    return count;
}
