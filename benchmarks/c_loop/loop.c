/*
 * What the vault's reads cost without the vault: LMDB and libsodium alone, over a copy of its own store.
 *
 * For each value asked for, in the order asked, in one read transaction for each batch:
 *
 *   get    the customer's row, whose state has to be "active", once for each run of one customer's values;
 *          then the value's record: by the cursor's next step where it follows closely, else by a seek
 *   open   the record's header compared (suite, no flags, no expiry), then the AEAD opened into one buffer
 *
 * There is no token, no key to unwrap, no policy, no access log, no message and no network. Sealing keys lie in
 * an array by customer number.
 *
 *   key     region u8 | customer_no u40 | value_no u24; value_no 0 is the customer row, its state byte 1
 *   record  suite u8 | field_class u8 | flags u8 | version u32 | dek_generation u16 | expires_s u32
 *           | nonce | ciphertext and tag          (big-endian; the first 13 bytes are the header)
 *   AAD     vault id 16 | key 9 | header 13
 *
 * It is compiled to a shared object, since the LMDB that it calls lies inside a Python module: `api` is the
 * table of functions that module exports. The declarations below are those of lmdb.h (0.9) and of that table.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { size_t size; void *data; } val;
typedef struct env env;
typedef struct txn txn;
typedef struct cursor cursor;
enum { RDONLY = 0x20000, NOLOCK = 0x400000, NORDAHEAD = 0x800000, NEXT = 8, SET_KEY = 16 };

/* Begins as the `MdbApi` of py-lmdb 3; what is not called is declared by its place only. */
typedef struct {
    int major, minor, patch;
    unsigned data_version;
    int (*env_create)(env **);
    int (*env_open)(env *, const char *, unsigned, unsigned mode);
    void (*env_close)(env *);
    void (*others_of_env[12])(void);
    int (*env_set_mapsize)(env *, size_t);
    int (*env_set_maxdbs)(env *, unsigned);
    void (*readers[3])(void);
    int (*txn_begin)(env *, txn *, unsigned, txn **);
    int (*txn_commit)(txn *);
    void (*txn_abort)(txn *);
    void (*txn_reset)(txn *);
    int (*txn_renew)(txn *);
    size_t (*txn_id)(txn *);
    int (*dbi_open)(txn *, const char *, unsigned, unsigned *);
    void (*others_of_table[7])(void);
    int (*cursor_open)(txn *, unsigned, cursor **);
    void (*cursor_close)(cursor *);
    int (*cursor_get)(cursor *, val *, val *, int);
} api_table;

typedef int (*aead_open)(unsigned char *m, unsigned long long *mlen, unsigned char *nsec, const unsigned char *c,
                         unsigned long long clen, const unsigned char *ad, unsigned long long adlen,
                         const unsigned char *npub, const unsigned char *k);

enum { HEADER = 13, KEY = 9, CUSTOMER = 6, VAULT_ID = 16, AAD = VAULT_ID + KEY + HEADER };
enum { STATE_AT = 1, ACTIVE = 0x11, NEAR = 8, OUT = 1 << 21 };

typedef struct {
    const api_table *api;
    env *environment;
    unsigned table;
} store;

typedef struct {
    aead_open open;          /* NULL: only get */
    unsigned suite;
    size_t nonce_bytes, tag_bytes;
    const unsigned char *vault_id;
    const unsigned char *seal_keys;  /* 32 bytes by customer_no */
    uint64_t customers;              /* how many there are in seal_keys */
} opening;

typedef struct { uint64_t values, plain_bytes, next; double cpu_seconds, seconds; } stretch;

int loop_version(const api_table *api) { return api->major * 1000000 + api->minor * 1000 + api->patch; }

int loop_open(const api_table *api, const char *path, const char *name, store **opened)
{
    store *s = calloc(1, sizeof *s);
    txn *t = NULL;
    int failed = s == NULL ? -1 : 0;

    if (failed)
        return failed;
    s->api = api;
    if ((failed = api->env_create(&s->environment)) == 0) {
        if (!(failed = api->env_set_maxdbs(s->environment, 16)) &&
            !(failed = api->env_set_mapsize(s->environment, (size_t)1 << 40)) &&
            !(failed = api->env_open(s->environment, path, RDONLY | NOLOCK | NORDAHEAD, 0600)) &&
            !(failed = api->txn_begin(s->environment, NULL, RDONLY, &t))) {
            if ((failed = api->dbi_open(t, name, 0, &s->table)) == 0)
                failed = api->txn_commit(t);
            else
                api->txn_abort(t);
        }
        if (failed)
            api->env_close(s->environment);
    }
    if (failed)
        free(s);
    else
        *opened = s;
    return failed;
}

void loop_close(store *s)
{
    s->api->env_close(s->environment);
    free(s);
}

static double now(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

/* Moves the cursor to `wanted`, by few steps forward or by a seek; 0 when it is there. */
static int reach(const store *s, cursor *c, const unsigned char *wanted, val *data)
{
    val at;

    for (int step = 0; step < NEAR; step++) {
        if (s->api->cursor_get(c, &at, data, NEXT) != 0 || at.size != KEY)
            break;
        int order = memcmp(at.data, wanted, KEY);
        if (order == 0)
            return 0;
        if (order > 0)
            break;
    }
    at.size = KEY;
    at.data = (void *)wanted;
    return s->api->cursor_get(c, &at, data, SET_KEY);
}

static long long open_record(const opening *o, const unsigned char *key, const val *record, unsigned char *out,
                             size_t room)
{
    unsigned char aad[AAD];
    const unsigned char *bytes = record->data;
    uint64_t customer = 0;

    for (int i = 1; i < CUSTOMER; i++)
        customer = customer << 8 | key[i];
    if (customer >= o->customers || record->size < HEADER + o->nonce_bytes + o->tag_bytes ||
        bytes[0] != o->suite || bytes[2] != 0 || (bytes[9] | bytes[10] | bytes[11] | bytes[12]) != 0)
        return -1;
    size_t sealed = record->size - HEADER - o->nonce_bytes, plain = sealed - o->tag_bytes;
    if (plain > room)
        return -1;
    memcpy(aad, o->vault_id, VAULT_ID);
    memcpy(aad + VAULT_ID, key, KEY);
    memcpy(aad + VAULT_ID + KEY, bytes, HEADER);
    if (o->open(out, NULL, NULL, bytes + HEADER + o->nonce_bytes, sealed, aad, AAD, bytes + HEADER,
                o->seal_keys + 32 * customer) != 0)
        return -1;
    return (long long)plain;
}

/* One batch in one transaction; the bytes of plaintext in `out`, or -1. */
static long long read_batch(const store *s, const opening *o, const unsigned char *keys, size_t count, txn *t,
                            unsigned char *out)
{
    const unsigned char *current = NULL;
    unsigned char row_key[KEY] = {0};
    cursor *c;
    val at, data;
    long long written = 0;

    if (s->api->cursor_open(t, s->table, &c) != 0)
        return -1;
    for (size_t i = 0; i < count && written >= 0; i++) {
        const unsigned char *key = keys + KEY * i;
        if (current == NULL || memcmp(key, current, CUSTOMER) != 0) {
            current = key;
            memcpy(row_key, key, CUSTOMER);
            at.size = KEY;
            at.data = row_key;
            if (s->api->cursor_get(c, &at, &data, SET_KEY) != 0 || data.size <= STATE_AT ||
                ((unsigned char *)data.data)[STATE_AT] != ACTIVE) {
                written = -1;
                break;
            }
        }
        if (reach(s, c, key, &data) != 0) {
            written = -1;
            break;
        }
        if (o->open == NULL) {
            out[0] ^= ((unsigned char *)data.data)[data.size - 1];  /* the record's page is touched */
            continue;
        }
        long long plain = open_record(o, key, &data, out + written, OUT - (size_t)written);
        written = plain < 0 ? -1 : written + plain;
    }
    s->api->cursor_close(c);
    return written;
}

/*
 * Reads the batches over and over for so many wall seconds, or each once where `seconds` is 0, beginning with
 * value number `start`; 0, or -1 where a customer or value is missing or a record does not open. `next` is
 * where a later call goes on.
 */
int loop_read(const store *s, const opening *o, const unsigned char *keys, size_t count, size_t batch,
              size_t start, double seconds, stretch *took)
{
    unsigned char *out = malloc(OUT);
    txn *t = NULL;
    double cpu = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC), end = wall + seconds;
    int failed = out == NULL || batch == 0 || start + batch > count || s->api->txn_begin(s->environment, NULL, RDONLY, &t);

    memset(took, 0, sizeof *took);
    for (size_t at = start; !failed;) {
        long long plain = read_batch(s, o, keys + KEY * at, batch, t, out);
        s->api->txn_reset(t);
        failed = plain < 0 || s->api->txn_renew(t);
        took->values += batch;
        took->plain_bytes += plain > 0 ? (uint64_t)plain : 0;
        at += batch;
        took->next = at + batch > count ? 0 : at;
        if (at + batch > count) {
            at = 0;
            if (seconds == 0)
                break;
        }
        if (seconds > 0 && now(CLOCK_MONOTONIC) >= end)
            break;
    }
    took->cpu_seconds = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    took->seconds = now(CLOCK_MONOTONIC) - wall;
    if (t != NULL)
        s->api->txn_abort(t);
    free(out);
    return failed ? -1 : 0;
}
