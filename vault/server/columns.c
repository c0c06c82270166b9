/*
 * Takes BatchTokenize apart into columns without an object for each value: protobuf's wire format, as far as
 * these messages use it (protobuf.dev/programming-guides/encoding).
 *
 * vault/server/columns.py decides when to call it, and what protobuf itself has to read instead: everything but
 * entries of an external id, at most one jurisdiction, and fields of class, value and label, each at most once.
 *
 * Memory. Lengths are compared with what is left before anything is read. `cv_count` says what `cv_columns` will
 * write at most, of the same bytes, and the caller gives as much.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CV_VERSION 1
#define CV_EXPORT __attribute__((visibility("default")))

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5, PLACES = 64, PARTS_OF_ENTRY = 4, PARTS_OF_FIELD = 3 };
enum { ENTRIES = 1 << 3 | BYTES };                                                        /* of the request */
enum { CUSTOMER = 1 << 3 | BYTES, FIELDS = 2 << 3 | BYTES, JURISDICTION = 3 << 3 | BYTES }; /* of an entry */
enum { EXTERNAL_ID = 1 << 3 | BYTES };                                                     /* of a customer */
enum { FIELD_CLASS = 1 << 3 | BYTES, VALUE = 2 << 3 | BYTES, LABEL = 3 << 3 | BYTES };     /* of a field */
enum { DONE, UNUSUAL = -1 };

typedef struct {
    const unsigned char *at;
    uint64_t size;
} text;

typedef struct { text field_class, label; uint64_t count, size; } place;

typedef struct {
    uint64_t entries, fields;
} cv_counts;

typedef struct {
    unsigned char *places;                      /* of each field: number of its place */
    uint32_t *ends;                             /* of each entry: where its fields end */
    unsigned char *columns;                     /* values of place 0, one NUL apart, values of place 1, ... */
    uint64_t *column_ends;                      /* of each place */
    unsigned char *names;                       /* of each place: class, NUL, label, NUL */
    unsigned char *external_ids, *jurisdictions; /* one NUL apart */
    unsigned char *rest;                        /* all other fields of the request */
    uint64_t *lengths;                          /* of the parts of the body, in characters */
    unsigned char *parts;
    uint64_t place_count, names_size, external_ids_size, jurisdictions_size, rest_size, parts_size, part_count;
} cv_columns_out;

typedef struct {
    text value;
    unsigned char place;
} found;

/* Where a walk over a message's bytes stands. */
typedef struct {
    const unsigned char *at, *end;
} walk;

CV_EXPORT int cv_version(void) { return CV_VERSION; }
CV_EXPORT size_t cv_out_bytes(void) { return sizeof(cv_columns_out); }
CV_EXPORT size_t cv_found_bytes(void) { return sizeof(found); }

/* Reads a varint of at most so many bytes. */
static int varint_of(walk *w, uint64_t *value, int longest)
{
    *value = 0;
    for (int i = 0; w->at < w->end && i < longest; i++) {
        *value |= (uint64_t)(*w->at & 127) << 7 * i;
        if (!(*w->at++ & 128))
            return DONE;
    }
    return UNUSUAL;
}

/* A tag or a length. */
static int varint(walk *w, uint64_t *value) { return varint_of(w, value, 5); }

static int taken(walk *w, text *out)
{
    uint64_t size;

    if (varint(w, &size) != DONE || size > (uint64_t)(w->end - w->at))
        return UNUSUAL;
    out->at = w->at;
    out->size = size;
    w->at += size;
    return DONE;
}

static int skipped(walk *w, uint64_t tag)
{
    uint64_t size = (tag & 7) == FIXED64 ? 8 : 4;
    text ignored;

    if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF)
        return UNUSUAL;
    if ((tag & 7) == VARINT)
        return varint_of(w, &size, 9);
    if ((tag & 7) == BYTES)
        return taken(w, &ignored);
    if (((tag & 7) != FIXED64 && (tag & 7) != FIXED32) || size > (uint64_t)(w->end - w->at))
        return UNUSUAL;
    w->at += size;
    return DONE;
}

static walk inside(const text *message) { return (walk){message->at, message->at + message->size}; }

static int same(const text *one, const text *other)
{
    return one->size == other->size && (one->size == 0 || memcmp(one->at, other->at, one->size) == 0);
}

/* A text that stands in a column, which NUL would end. */
static int whole(const text *one) { return one->size == 0 || memchr(one->at, 0, one->size) == NULL; }

/* How many entries and fields there are at most: those that have the tags. */
CV_EXPORT int cv_count(const unsigned char *data, size_t size, cv_counts *counts)
{
    walk request = {data, data + size}, entry;
    text message, ignored;
    uint64_t tag;

    memset(counts, 0, sizeof *counts);
    while (request.at < request.end) {
        if (varint(&request, &tag) != DONE)
            return UNUSUAL;
        if (tag != ENTRIES) {
            if (skipped(&request, tag) != DONE)
                return UNUSUAL;
            continue;
        }
        if (taken(&request, &message) != DONE)
            return UNUSUAL;
        counts->entries++;
        for (entry = inside(&message); entry.at < entry.end;) {
            if (varint(&entry, &tag) != DONE || (tag & 7) != BYTES || taken(&entry, &ignored) != DONE)
                return UNUSUAL;
            counts->fields += tag == FIELDS;
        }
    }
    return DONE;
}

/* Writes a part of the body. */
static void part(cv_columns_out *out, const text *one)
{
    uint64_t characters = 0;

    for (uint64_t i = 0; i < one->size; i++) {
        out->parts[out->parts_size + i] = one->at[i];
        characters += (one->at[i] & 0xC0) != 0x80;
    }
    out->parts_size += one->size;
    out->lengths[out->part_count++] = characters;
}

/* The number of fields as a part: four bytes, the highest first, each of them a character of Latin-1. */
static void count_part(cv_columns_out *out, uint64_t count)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        unsigned char byte = (unsigned char)(count >> shift);
        if (byte > 127)
            out->parts[out->parts_size++] = (unsigned char)(0xC0 | byte >> 6);
        out->parts[out->parts_size++] = byte > 127 ? (unsigned char)(0x80 | (byte & 0x3F)) : byte;
    }
    out->lengths[out->part_count++] = 4;
}

static void joined(unsigned char *to, uint64_t *size, const text *one, int first)
{
    if (!first)
        to[(*size)++] = 0;
    if (one->size > 0)
        memcpy(to + *size, one->at, one->size);
    *size += one->size;
}

/* One field of an entry. `next` is the place that is most likely its. */
static int read_field(const text *message, place *places, uint64_t *count, uint64_t next, found *out)
{
    text field_class = {NULL, 0}, label = {NULL, 0}, value = {NULL, 0};
    unsigned seen = 0;
    uint64_t tag, at;

    for (walk w = inside(message); w.at < w.end;) {
        if (varint(&w, &tag) != DONE)
            return UNUSUAL;
        text *to = tag == FIELD_CLASS ? &field_class : tag == VALUE ? &value : tag == LABEL ? &label : NULL;
        if (to == NULL || seen & 1u << (tag >> 3) || taken(&w, to) != DONE)
            return UNUSUAL;
        seen |= 1u << (tag >> 3);
    }
    if (!whole(&field_class) || !whole(&label) || !whole(&value))
        return UNUSUAL;
    if (next < *count && same(&places[next].field_class, &field_class) && same(&places[next].label, &label))
        at = next;
    else
        for (at = 0; at < *count; at++)
            if (same(&places[at].field_class, &field_class) && same(&places[at].label, &label))
                break;
    if (at == *count) {
        if (at == PLACES)
            return UNUSUAL;
        places[(*count)++] = (place){field_class, label, 0, 0};
    }
    places[at].count++;
    places[at].size += value.size;
    out->place = (unsigned char)at;
    out->value = value;
    return DONE;
}

/* One entry: its fields go to `fields`, from number `*used` on. */
static int read_entry(const text *message, place *places, found *fields, uint64_t *used, cv_columns_out *out, int first)
{
    text customer, external_id = {NULL, 0}, jurisdiction = {NULL, 0}, field;
    int named = 0, placed = 0;
    uint64_t tag, begin = *used, count = out->place_count;

    for (walk w = inside(message); w.at < w.end;) {
        if (varint(&w, &tag) != DONE)
            return UNUSUAL;
        if (tag == FIELDS) {
            uint64_t next = *used > begin ? fields[*used - 1].place + 1u : 0;
            if (taken(&w, &field) != DONE || read_field(&field, places, &count, next, fields + *used) != DONE)
                return UNUSUAL;
            (*used)++;
        } else if (tag == CUSTOMER && !named++) {
            if (taken(&w, &customer) != DONE)
                return UNUSUAL;
            walk ref = inside(&customer);
            if (varint(&ref, &tag) != DONE || tag != EXTERNAL_ID || taken(&ref, &external_id) != DONE || ref.at != ref.end)
                return UNUSUAL;
        } else if (tag != JURISDICTION || placed++ || taken(&w, &jurisdiction) != DONE) {
            return UNUSUAL;
        }
    }
    if (!named || !whole(&external_id) || !whole(&jurisdiction))
        return UNUSUAL;
    out->place_count = count;
    joined(out->external_ids, &out->external_ids_size, &external_id, first);
    joined(out->jurisdictions, &out->jurisdictions_size, &jurisdiction, first);
    part(out, &external_id);
    part(out, &(text){NULL, 0}); /* no token */
    part(out, &jurisdiction);
    count_part(out, *used - begin);
    for (; begin < *used; begin++) {
        part(out, &places[fields[begin].place].field_class);
        part(out, &places[fields[begin].place].label);
        part(out, &fields[begin].value);
    }
    return DONE;
}

/* Puts the values of each place together. */
static void lay_out(const place *places, const found *fields, uint64_t count, cv_columns_out *out)
{
    uint64_t ends[PLACES], at = 0;

    for (uint64_t i = 0; i < out->place_count; i++) {
        ends[i] = at;
        at += places[i].size + places[i].count - 1;
        joined(out->names, &out->names_size, &places[i].field_class, i == 0);
        joined(out->names, &out->names_size, &places[i].label, 0);
        out->column_ends[i] = at;
    }
    for (uint64_t i = 0; i < count; i++) {
        const text *value = &fields[i].value;
        unsigned char number = out->places[i] = fields[i].place;
        if (value->size > 0)
            memcpy(out->columns + ends[number], value->at, value->size);
        ends[number] += value->size;
        if (ends[number] < out->column_ends[number])
            out->columns[ends[number]++] = 0;
    }
}

/* The columns of a request, or UNUSUAL; `fields` has room for all of its fields. */
CV_EXPORT int cv_columns(const unsigned char *data, size_t size, found *fields, cv_columns_out *out)
{
    place places[PLACES];
    walk request = {data, data + size};
    uint64_t tag, used = 0, entries = 0;
    text message;

    while (request.at < request.end) {
        const unsigned char *begin = request.at;
        if (varint(&request, &tag) != DONE)
            return UNUSUAL;
        if (tag != ENTRIES) {
            if (tag >> 3 == 1 || skipped(&request, tag) != DONE)
                return UNUSUAL;
            memcpy(out->rest + out->rest_size, begin, (size_t)(request.at - begin));
            out->rest_size += (uint64_t)(request.at - begin);
            continue;
        }
        if (taken(&request, &message) != DONE || read_entry(&message, places, fields, &used, out, entries == 0) != DONE)
            return UNUSUAL;
        out->ends[entries++] = (uint32_t)used;
    }
    lay_out(places, fields, used, out);
    return DONE;
}
