/* Unsigned integers as the formats store them: the highest byte first, up to eight of them. The machine's own begin
 * with the lowest. */

#ifndef VAULT_MODEL_BIG_ENDIAN_H
#define VAULT_MODEL_BIG_ENDIAN_H

#include <stdint.h>
#include <string.h>

static inline uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t value = 0;

    if (bytes == 8) {
        memcpy(&value, at, 8);
        return __builtin_bswap64(value);
    }
#pragma GCC unroll 8
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static inline void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8)
        at[i] = (unsigned char)value;
}

#endif
