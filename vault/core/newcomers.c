/*
 * Makes everything that is stored of customers who are new, many of them in one call: data keys, sealed values,
 * rows with their MACs, sheets, wrapped keys, locators. vault/core/newcomers.py holds the same in Python and says
 * what it is for; tests hold the two equal.
 *
 * Nothing is decided here: counters, forms to store and to compare, digests and labels come ready. libsodium is
 * called through pointers.
 *
 *   key      region u8 | customer_no u40 | value_no u24; value_no 0 is the customer row
 *   record   header 13 | nonce | ciphertext and tag
 *   header   suite u8 | field_class u8 | flags u8 = 0 | version u32 = 1 | dek_generation u16 = 1 | expires_s u32 = 0
 *   AAD      vault id 16 | key 9 | header 13
 *   row      version u8 = 1 | state u8 = 0x11 | flags u8 = 0 | jurisdiction 2 | dek_generation u16 = 1
 *            | row_version u32 = 1 | next_counter u16 | incarnation u8 | created_ms u64 | zeros 16 | MAC 16
 *   sheet    version u8 = 1 | dek_generation u16 = 1 | nonce 24 | sealed, AAD vault id | "sheet" | key 6 | header 3:
 *            u16 length | external id | u16 n | n times: value_no u24 | class u8 | fingerprint 16 | tail | u16 = 0
 *   DEK row  version u8 = 1 | key check value 8 | nonce 24 | sealed, AAD vault id | epoch u32 | "dek" | key 6
 *            | dek_generation u16 | version | key check value
 *   slot     DEK | seal | row | fingerprint | sheet | audit subkeys, 32 bytes each, in guarded memory
 *
 * Memory. Sizes are compared with what the caller says that there is, before each read of it and each write.
 * Keys are born in the slot and stay there; one customer's follow the other's. Plaintexts are put together in
 * `scratch`, which is wiped. Any number of threads may call, each with a job of its own.
 */
#define _DEFAULT_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../model/big_endian.h"

#define CV_VERSION 1
#define CV_EXPORT __attribute__((visibility("default")))

typedef int (*aead_seal)(unsigned char *c, unsigned long long *clen, const unsigned char *m, unsigned long long mlen,
                         const unsigned char *ad, unsigned long long adlen, const unsigned char *nsec,
                         const unsigned char *npub, const unsigned char *k);
typedef int (*keyed_hash)(unsigned char *out, size_t outlen, const unsigned char *in, unsigned long long inlen,
                          const unsigned char *key, size_t keylen, const unsigned char *salt,
                          const unsigned char *personal);
typedef void (*randomness)(unsigned char *out, unsigned long long size);

enum { VAULT_ID = 16, KEY = 9, ID = 6, HEADER = 13, ROW = 38, MAC = 16, PRINT = 16, CHECK = 8, DEK = 32, HALF = 16 };
enum { WRAP_NONCE = 24, WRAP_TAG = 16, DEK_ROW = 1 + CHECK + WRAP_NONCE + DEK + WRAP_TAG, SHEET_HEAD = 3, EPOCH = 4 };
enum { SEAL_AT = 32, ROW_AT = 64, PRINT_AT = 96, SHEET_AT = 128, AUDIT_AT = 160 };
enum { ROW_ID = 10, PRINT_ID = 11, SHEET_ID = 12, AUDIT_ID = 13, CHECK_ID = 255 }; /* vault/crypto/subkeys.py */
enum { COUNTER, CLASS, STORED, NORMALIZED, TAIL, NUMBERS };                       /* of a field */
enum { DONE, REFUSED = -1 /* sizes that do not fit */, FAILED = -2 /* libsodium */ };

static const unsigned char CONTEXT[16] = "cv-dek-1";

typedef struct {
    aead_seal seal;       /* of the records' suite */
    aead_seal wrap;       /* XChaCha20-Poly1305: sheets and data keys */
    keyed_hash hash;      /* BLAKE2b with salt and personalisation */
    randomness random;
    uint32_t suite, subkey, nonce_bytes, tag_bytes;
    unsigned char vault_id[VAULT_ID];
    unsigned char region;
} cv_tools;

typedef struct {
    const uint64_t *numbers;          /* of the customers */
    const uint32_t *counts;           /* of their values; the first is the external id */
    const unsigned char *places;      /* their jurisdictions, 2 bytes each */
    const uint32_t *fields;           /* of each value: counter, class, sizes of what follows it in `data` */
    const unsigned char *data;        /* of each value: form to store, form to compare, tail of its line */
    const unsigned char *heads;       /* by class: what its fingerprints begin with */
    const uint32_t *head_ends;        /* 256 */
    const unsigned char *epoch_key;
    unsigned char *slot;
    unsigned char *nonces, *scratch;
    unsigned char *keys, *rows, *sheets, *deks, *locators; /* out: 9, variable, variable, 81 and 16 bytes each */
    uint32_t *row_ends, *sheet_ends;
    uint64_t data_size, nonces_size, scratch_size, rows_size, sheets_size;
    uint64_t created_ms;
    uint32_t customers, values, epoch;
    uint8_t incarnation;
} cv_newcomers;

/* Where the call stands. */
typedef struct {
    const cv_tools *t;
    const cv_newcomers *j;
    uint64_t data, nonces, rows, sheets; /* bytes used */
    uint32_t value, row;
    unsigned char id[ID];                /* of the customer */
} place;

CV_EXPORT int cv_version(void) { return CV_VERSION; }
CV_EXPORT size_t cv_tools_bytes(void) { return sizeof(cv_tools); }
CV_EXPORT size_t cv_newcomers_bytes(void) { return sizeof(cv_newcomers); }

/* libsodium's crypto_kdf_derive_from_key. */
static int derive(const place *p, unsigned char *out, size_t size, uint64_t subkey)
{
    unsigned char salt[16] = {0};

    for (int i = 0; i < 8; i++, subkey >>= 8)
        salt[i] = (unsigned char)subkey;
    return p->t->hash(out, size, NULL, 0, p->j->slot, DEK, salt, CONTEXT) != 0 ? FAILED : DONE;
}

static int hash16(const place *p, unsigned char *out, size_t key_at, const unsigned char *data, uint64_t size)
{
    return p->t->hash(out, HALF, data, size, p->j->slot + key_at, DEK, NULL, NULL) != 0 ? FAILED : DONE;
}

static const unsigned char *nonce(place *p, uint64_t size)
{
    const unsigned char *at = p->j->nonces + p->nonces;

    p->nonces += size;
    return at;
}

/* A new data key, its subkeys, and its row in the keyring. */
static int make_keys(place *p, unsigned char *row)
{
    const cv_newcomers *j = p->j;
    const uint32_t ids[] = {p->t->subkey, ROW_ID, PRINT_ID, SHEET_ID, AUDIT_ID};
    unsigned char check[HALF], aad[VAULT_ID + EPOCH + 3 + ID + 2 + 1 + CHECK], *at = aad;

    p->t->random(j->slot, DEK);
    for (int i = 0; i < 5; i++)
        if (derive(p, j->slot + DEK * (i + 1), DEK, ids[i]) != DONE)
            return FAILED;
    if (derive(p, check, sizeof check, CHECK_ID) != DONE)
        return FAILED;
    row[0] = 1;
    memcpy(row + 1, check, CHECK);
    memcpy(at, p->t->vault_id, VAULT_ID);
    put(at += VAULT_ID, j->epoch, EPOCH);
    memcpy(at += EPOCH, "dek", 3);
    memcpy(at += 3, p->id, ID);
    put(at += ID, 1, 2);
    memcpy(at += 2, row, 1 + CHECK);
    memcpy(row + 1 + CHECK, nonce(p, WRAP_NONCE), WRAP_NONCE);
    at = row + 1 + CHECK;
    return p->t->wrap(at + WRAP_NONCE, NULL, j->slot, DEK, aad, sizeof aad, NULL, at, j->epoch_key) != 0 ? FAILED : DONE;
}

/* The next row of `values`, or NULL where there is no room for it; its key is written. */
static unsigned char *next_row(place *p, uint32_t value_no, uint64_t size)
{
    const cv_newcomers *j = p->j;
    unsigned char *key = j->keys + (uint64_t)KEY * p->row, *row = j->rows + p->rows;

    if (size > j->rows_size - p->rows)
        return NULL;
    memcpy(key, p->id, ID);
    put(key + ID, value_no, KEY - ID);
    p->rows += size;
    j->row_ends[p->row++] = (uint32_t)p->rows;
    return row;
}

static int put_customer_row(place *p, uint32_t number, uint32_t values)
{
    const cv_newcomers *j = p->j;
    unsigned char message[VAULT_ID + KEY + ROW] = {0}, *row = message + VAULT_ID + KEY, *out;

    if ((out = next_row(p, 0, ROW + MAC)) == NULL)
        return REFUSED;
    memcpy(message, p->t->vault_id, VAULT_ID);
    memcpy(message + VAULT_ID, p->id, ID);
    row[0] = 1;
    row[1] = 0x11;
    memcpy(row + 3, j->places + 2 * (size_t)number, 2);
    put(row + 5, 1, 2);
    put(row + 7, 1, 4);
    put(row + 11, values + 1, 2);
    row[13] = j->incarnation;
    put(row + 14, j->created_ms, 8);
    memcpy(out, row, ROW);
    return hash16(p, out + ROW, ROW_AT, message, sizeof message);
}

/* Seals a value, and writes its line of the sheet at `line`. */
static int put_value(place *p, const uint32_t *field, const unsigned char *data, unsigned char *line, unsigned char *spare)
{
    const cv_tools *t = p->t;
    const cv_newcomers *j = p->j;
    uint32_t class = field[CLASS], head_at = class == 0 ? 0 : j->head_ends[class - 1];
    uint32_t head = j->head_ends[class] - head_at;
    uint32_t value_no = (uint32_t)j->incarnation << 16 | field[COUNTER];
    unsigned char aad[VAULT_ID + KEY + HEADER] = {0}, *header = aad + VAULT_ID + KEY, *out;

    if ((out = next_row(p, value_no, (uint64_t)HEADER + t->nonce_bytes + field[STORED] + t->tag_bytes)) == NULL)
        return REFUSED;
    memcpy(aad, t->vault_id, VAULT_ID);
    memcpy(aad + VAULT_ID, p->id, ID);
    put(aad + VAULT_ID + ID, value_no, KEY - ID);
    header[0] = (unsigned char)t->suite;
    header[1] = (unsigned char)class;
    put(header + 3, 1, 4);
    put(header + 7, 1, 2);
    memcpy(out, header, HEADER);
    memcpy(out += HEADER, nonce(p, t->nonce_bytes), t->nonce_bytes);
    if (t->seal(out + t->nonce_bytes, NULL, data, field[STORED], aad, sizeof aad, NULL, out, j->slot + SEAL_AT) != 0)
        return FAILED;
    data += field[STORED];
    memcpy(spare, j->heads + head_at, head);
    memcpy(spare + head, data, field[NORMALIZED]);
    put(line, value_no, 3);
    line[3] = (unsigned char)class;
    memcpy(line + 4 + PRINT, data + field[NORMALIZED], field[TAIL]);
    return hash16(p, line + 4, PRINT_AT, spare, (uint64_t)head + field[NORMALIZED]);
}

/* Seals the sheet, which lies in `scratch`. */
static int put_sheet(place *p, uint32_t number, uint64_t size)
{
    const cv_newcomers *j = p->j;
    unsigned char aad[VAULT_ID + 5 + ID + SHEET_HEAD], *out = j->sheets + p->sheets;

    if (SHEET_HEAD + WRAP_NONCE + size + WRAP_TAG > j->sheets_size - p->sheets)
        return REFUSED;
    memcpy(aad, p->t->vault_id, VAULT_ID);
    memcpy(aad + VAULT_ID, "sheet", 5);
    memcpy(aad + VAULT_ID + 5, p->id, ID);
    put(aad + VAULT_ID + 5 + ID, 1 << 16 | 1, SHEET_HEAD);
    memcpy(out, aad + VAULT_ID + 5 + ID, SHEET_HEAD);
    memcpy(out += SHEET_HEAD, nonce(p, WRAP_NONCE), WRAP_NONCE);
    p->sheets += SHEET_HEAD + WRAP_NONCE + size + WRAP_TAG;
    j->sheet_ends[number] = (uint32_t)p->sheets;
    if (p->t->wrap(out + WRAP_NONCE, NULL, j->scratch, size, aad, sizeof aad, NULL, out, j->slot + SHEET_AT) != 0)
        return FAILED;
    return DONE;
}

/* What of a customer's values lies in `data`, and what its sheet and its longest form to compare take; or REFUSED. */
static int measure(const place *p, uint32_t values, uint64_t *sheet, uint64_t *spare)
{
    const cv_newcomers *j = p->j;
    const uint32_t *field = j->fields + (size_t)p->value * NUMBERS;
    uint64_t left = j->data_size - p->data;

    if (values == 0 || values > UINT16_MAX - 1 || values > j->values - p->value || field[STORED] > UINT16_MAX)
        return REFUSED;
    *sheet = 2 + (uint64_t)field[STORED] + 2 + 2;
    *spare = 0;
    for (uint32_t i = 0; i < values; i++, field += NUMBERS) {
        uint64_t size = (uint64_t)field[STORED] + field[NORMALIZED] + field[TAIL];
        if (size > left || field[CLASS] > 255 || field[COUNTER] > UINT16_MAX)
            return REFUSED;
        left -= size;
        *sheet += 4 + PRINT + (uint64_t)field[TAIL];
        uint32_t head_at = field[CLASS] == 0 ? 0 : j->head_ends[field[CLASS] - 1];
        if (j->head_ends[field[CLASS]] < head_at)
            return REFUSED;
        size = (uint64_t)(j->head_ends[field[CLASS]] - head_at) + field[NORMALIZED];
        if (size > *spare)
            *spare = size;
    }
    return *sheet + *spare > j->scratch_size ? REFUSED : DONE;
}

static int seal_customer(place *p, uint32_t number)
{
    const cv_newcomers *j = p->j;
    const uint32_t *field = j->fields + (size_t)p->value * NUMBERS, values = j->counts[number];
    unsigned char *at = j->scratch;
    uint64_t sheet, spare;
    int failed;

    if (j->numbers[number] >> 40 != 0 || measure(p, values, &sheet, &spare) != DONE)
        return REFUSED;
    p->id[0] = p->t->region;
    put(p->id + 1, j->numbers[number], ID - 1);
    if ((failed = make_keys(p, j->deks + (size_t)DEK_ROW * number)) != 0)
        return failed;
    if ((failed = hash16(p, j->locators + (size_t)HALF * number, AUDIT_AT, p->id, ID)) != 0)
        return failed;
    if ((failed = put_customer_row(p, number, values)) != 0)
        return failed;
    put(at, field[STORED], 2);
    memcpy(at + 2, j->data + p->data, field[STORED]);
    put(at += 2 + field[STORED], values, 2);
    at += 2;
    for (uint32_t i = 0; i < values; i++, field += NUMBERS) {
        if ((failed = put_value(p, field, j->data + p->data, at, j->scratch + sheet)) != 0)
            return failed;
        p->data += (uint64_t)field[STORED] + field[NORMALIZED] + field[TAIL];
        at += 4 + PRINT + field[TAIL];
    }
    put(at, 0, 2);
    p->value += values;
    return put_sheet(p, number, sheet);
}

/* All customers of a job: DONE, REFUSED or FAILED; of a job that is not done, nothing may be used. */
CV_EXPORT int cv_seal_newcomers(const cv_tools *t, const cv_newcomers *j)
{
    uint64_t wanted = (uint64_t)t->nonce_bytes * j->values + (uint64_t)(2 * WRAP_NONCE) * j->customers;
    place p = {.t = t, .j = j};
    int failed = DONE;

    if (wanted > j->nonces_size || j->rows_size > UINT32_MAX || j->sheets_size > UINT32_MAX)
        return REFUSED;
    t->random(j->nonces, wanted);
    for (uint32_t i = 0; i < j->customers && failed == DONE; i++)
        failed = seal_customer(&p, i);
    explicit_bzero(j->scratch, j->scratch_size);
    return failed == DONE && p.value != j->values ? REFUSED : failed;
}
