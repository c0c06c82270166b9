/*
 * Takes Detokenize apart and puts its answer together without a Python object for each text: protobuf's wire
 * format, as far as these two messages use it (protobuf.dev/programming-guides/encoding).
 *
 * vault/server/wire.py decides when to call it, and what protobuf itself has to read instead.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CV_VERSION 1
#define CV_EXPORT __attribute__((visibility("default")))

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5, LONGEST = 5 /* bytes of a tag or a length */, TEXTS = 1 << 3 | BYTES, CODES = 2 << 3 | BYTES };

typedef struct { uint64_t count, width, rest; } cv_parts;

CV_EXPORT int cv_version(void) { return CV_VERSION; }

/* Reads a varint; the place after it, or NULL where there is none. */
static const unsigned char *varint(const unsigned char *at, const unsigned char *end, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; at < end && shift < 63; shift += 7) {
        *value |= (uint64_t)(*at & 127) << shift;
        if (!(*at++ & 128))
            return at;
    }
    return NULL;
}

/* The end of a field of this wire type, or NULL where it is not all there or of no usual type. */
static const unsigned char *skipped(const unsigned char *at, const unsigned char *end, unsigned type)
{
    uint64_t size = type == FIXED64 ? 8 : 4;

    if (type == VARINT)
        return varint(at, end, &size);
    if (type == BYTES && (at = varint(at, end, &size)) == NULL)
        return NULL;
    if ((type != BYTES && type != FIXED64 && type != FIXED32) || size > (uint64_t)(end - at))
        return NULL;
    return at + size;
}

/*
 * Takes the texts of field 1 out of a message: one after the other into `texts`, all other fields into `rest`,
 * each with room for `size` bytes. 0 if the texts are all of one length and of visible ASCII characters, and
 * the message is what protobuf would take; else -1, and it has to be asked.
 */
CV_EXPORT int cv_split(const unsigned char *data, size_t size, unsigned char *texts, unsigned char *rest,
                       cv_parts *parts)
{
    const unsigned char *at = data, *end = data + size;
    uint64_t tag, length;

    memset(parts, 0, sizeof *parts);
    while (at < end) {
        const unsigned char *field = at;
        if ((at = varint(at, end, &tag)) == NULL)
            return -1;
        if (tag != TEXTS) {
            if (tag >> 3 <= 1 || tag >> 3 > 0x1FFFFFFF || (at = skipped(at, end, tag & 7)) == NULL)
                return -1;
            memcpy(rest + parts->rest, field, (size_t)(at - field));
            parts->rest += (uint64_t)(at - field);
            continue;
        }
        const unsigned char *value = at;
        if ((at = varint(at, end, &length)) == NULL || length > (uint64_t)(end - at) || length == 0)
            return -1;
        if (value - field > LONGEST || at - value > LONGEST)
            return -1;
        if (parts->count++ == 0)
            parts->width = length;
        if (length != parts->width)
            return -1;
        unsigned char *text = texts + (parts->count - 1) * length, strange = 0;
        for (uint64_t i = 0; i < length; i++) {
            text[i] = at[i];
            strange |= at[i] < 0x21 || at[i] > 0x7E;
        }
        if (strange)
            return -1;
        at += length;
    }
    return 0;
}

static unsigned char *put(unsigned char *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        *out++ = (unsigned char)(value | 128);
    *out++ = (unsigned char)value;
    return out;
}

/*
 * Writes the texts as field 1 and a code below 128 for each as field 2; text n ends at ends[n]. `out` has room for
 * the texts, seven bytes more for each, and twelve. Returns how many bytes were written.
 */
CV_EXPORT size_t cv_join(const unsigned char *texts, const uint32_t *ends, const unsigned char *codes, size_t count,
                         unsigned char *out)
{
    unsigned char *at = out;
    uint32_t start = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t length = ends[i] - start;
        *at++ = TEXTS;
        at = put(at, length);
        memcpy(at, texts + start, length);
        at += length;
        start = ends[i];
    }
    if (count > 0) {
        *at++ = CODES;
        at = put(at, count);
        memcpy(at, codes, count);
        at += count;
    }
    return (size_t)(at - out);
}
