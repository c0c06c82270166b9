/*
 * The loop of detokenization without an interpreter between two values: deciphered tokens in; values, outcomes
 * and the body of the access record out. vault/hotpath/portable.py holds the same loop in Python; tests hold
 * the two equal.
 *
 * Whatever is not the usual case is left to Python: the loop stops, says at which token and why, and is called
 * again (`stop`). So nothing is decided here that needs more than a comparison or a look into a table:
 *
 *   customer    its row, just read, has to be byte for byte the one that was verified when its key was let in
 *   decision    outcome by field class, from the table of the customer's place
 *   value       opened by libsodium, called through a pointer
 *
 *   block       region u8 | domain u8 | customer_no u40 | value_no u24 | six bytes    (a deciphered token)
 *   key         region u8 | customer_no u40 | value_no u24; value_no 0 is the customer row
 *   record      suite u8 | field_class u8 | flags u8 | version u32 | dek_generation u16 | expires_s u32
 *               | nonce | ciphertext and tag          (big-endian; the first 13 bytes are the header)
 *   AAD         vault id 16 | key 9 | header 13
 *   group       locator 16 | count u16 | items; item: value_no u24 | field_class u8 | outcome u8
 *
 * Reading. Rows are read out of the store's file as the caller's open read transaction sees it (`pages.h`).
 *
 * Memory. Keys stay where they are, in guarded memory; only their addresses are here. Plaintexts lie in one
 * buffer, which `cv_end` wipes. Any thread may call, one at a time.
 */
#define _DEFAULT_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"

#define CV_VERSION 1
#define CV_EXPORT __attribute__((visibility("default")))

typedef int (*aead_open)(unsigned char *m, unsigned long long *mlen, unsigned char *nsec, const unsigned char *c,
                         unsigned long long clen, const unsigned char *ad, unsigned long long adlen,
                         const unsigned char *npub, const unsigned char *k);

enum { BLOCK = 16, KEY = 9, ID = 6, NUMBER_AT = 2, HEADER = 13, VAULT_ID = 16, AAD = VAULT_ID + KEY + HEADER };
enum { ROW = 54, LOCATOR = 16, HEAD = LOCATOR + 2, ITEM = 5 };
enum { PLAIN = 2, MASKED = 3, MASK_GROWTH = 8 /* times, at most */, SURROGATE = 4, ALIAS = 2 };
enum { LIVE = 1, TERMS = 2, MOST_USES = 3 };
enum { META_ROW = 64, WRITTEN_BY_AT = 24 }; /* of the vault's meta row: the transaction that wrote it */

/* What the process knows of a customer whose key is open; numbered by the key's slot. 120 bytes. */
typedef struct {
    uint64_t key;         /* address of the sealing key */
    uint64_t consents;    /* as in the row; 0 where terms decide */
    uint64_t serial;      /* where terms decide: the decisions that `place` was made for, */
    int64_t until_ms;     /* and until when it holds; 0 for always */
    uint32_t place;
    uint16_t generation;
    uint8_t flags;        /* LIVE, TERMS */
    uint8_t uses;         /* since the clock's hand last passed, up to MOST_USES */
    unsigned char id[ID]; /* region | customer_no */
    unsigned char locator[LOCATOR];
    unsigned char row[ROW];
} customer;

typedef struct {
    unsigned char token_unknown, reply_full, expired;
    unsigned char denials[256]; /* outcome of each verdict that reveals nothing */
} outcome_codes;

typedef struct {
    pages pages;
    uint64_t lookups; /* rows that were looked for */
    aead_open open;
    unsigned suite;
    size_t nonce_bytes, tag_bytes;
    unsigned char aad[AAD];
    unsigned char region;
    outcome_codes codes;

    customer *customers;  /* by slot */
    uint32_t slots, live, hand;
    uint32_t *index;      /* slot + 1 by hash of the id, 0 where free; linear probing */
    uint32_t index_mask;

    unsigned char *texts, *outcomes, *classes, *groups, *whole;
    uint32_t *ends, *missed, *heads;
    size_t texts_size, batch_size, whole_size;
} cv_loop;

enum stop { DONE, ADMIT, JUDGE, PLACE, UNUSUAL, SETTLE, NO_MEMORY = -2 }; /* and DAMAGED */
enum run { NO_RUN, OPEN_RUN, FAILED_RUN };

typedef struct {
    const unsigned char *blocks;  /* 16 bytes each */
    const unsigned char *domains; /* 256 bytes: 1 for each domain that the caller is in */
    const uint32_t *places;       /* place + 1 by hash, 0 where free: where its table's number is to be found */
    const uint16_t *numbers;
    const unsigned char *verdicts; /* tables of 256 outcomes */
    uint64_t serial;              /* of the decisions */
    int64_t now_ms;
    uint64_t room;                /* bytes that the values may take */
    uint32_t count, places_mask, consent_shift;
    uint32_t failed;              /* answer to ADMIT: reason code for the customer's tokens, 0 if it was let in */
    /* how far it has come */
    uint32_t at, slot, missed, heads;
    uint32_t unsettled; /* how many values to be masked are counted with what masking may add */
    uint64_t taken, written, grouped;
    const unsigned char *allowed;
    const unsigned char *whole;   /* with DONE: everything that was found, one after the other (`gather`) */
    uint64_t whole_bytes;
    uint16_t run, run_code;
    unsigned char current[ID];    /* the run's customer */
} cv_job;

/* What a batch has come to so far; valid until the loop is called again. */
typedef struct {
    const unsigned char *texts;    /* the values, joined; that of token n ends at ends[n] */
    const uint32_t *ends;
    const unsigned char *outcomes; /* of each token */
    const unsigned char *classes;  /* field class of each token, 0 where it has no item */
} cv_found;

CV_EXPORT int cv_version(void) { return CV_VERSION; }
CV_EXPORT size_t cv_customer_bytes(void) { return sizeof(customer); }
CV_EXPORT size_t cv_job_bytes(void) { return sizeof(cv_job); }

/* ---- The customers whose keys are open ------------------------------------------------------------------ */

static uint32_t hash_of(const unsigned char *id)
{
    uint64_t number = 0;

    memcpy(&number, id, ID);
    return (uint32_t)((number * 0x9E3779B97F4A7C15u) >> 32);
}

static uint32_t place_in_index(const cv_loop *l, const unsigned char *id)
{
    uint32_t at = hash_of(id) & l->index_mask;

    while (l->index[at] != 0 && memcmp(l->customers[l->index[at] - 1].id, id, ID) != 0)
        at = (at + 1) & l->index_mask;
    return at;
}

static int grow_index(cv_loop *l)
{
    uint32_t size = l->index_mask + 1, *old = l->index;
    uint32_t *made = calloc((size_t)size * 2, sizeof *made);

    if (made == NULL)
        return NO_MEMORY;
    l->index = made;
    l->index_mask = size * 2 - 1;
    for (uint32_t i = 0; i < size; i++)
        if (old[i] != 0)
            l->index[place_in_index(l, l->customers[old[i] - 1].id)] = old[i];
    free(old);
    return 0;
}

/* The slot of a customer, or -1. */
CV_EXPORT int64_t cv_find(const cv_loop *l, const unsigned char *id)
{
    return (int64_t)l->index[place_in_index(l, id)] - 1;
}

CV_EXPORT uint32_t cv_live(const cv_loop *l) { return l->live; }

CV_EXPORT uint64_t cv_lookups(const cv_loop *l) { return l->lookups; }

CV_EXPORT customer *cv_customer(const cv_loop *l, uint32_t slot) { return &l->customers[slot]; }

/* Keeps a customer in a slot; what the slot or the id held before is given up first by the caller. */
CV_EXPORT int cv_keep(cv_loop *l, uint32_t slot, const customer *kept)
{
    if (slot >= l->slots) {
        uint32_t slots = l->slots ? l->slots : 1024;
        while (slots <= slot)
            slots *= 2;
        customer *made = realloc(l->customers, slots * sizeof *made);
        if (made == NULL)
            return NO_MEMORY;
        memset(made + l->slots, 0, (slots - l->slots) * sizeof *made);
        l->customers = made;
        l->slots = slots;
    }
    if ((uint64_t)(l->live + 1) * 2 > l->index_mask && grow_index(l) != 0)
        return NO_MEMORY;
    uint32_t at = place_in_index(l, kept->id);
    if (l->index[at] == 0)
        l->live++;
    l->customers[slot] = *kept;
    l->customers[slot].flags |= LIVE;
    l->index[at] = slot + 1;
    return 0;
}

/* Forgets a customer: its slot, or -1 where it was not known. */
CV_EXPORT int64_t cv_forget(cv_loop *l, const unsigned char *id)
{
    uint32_t hole = place_in_index(l, id), at = hole;
    int64_t slot = (int64_t)l->index[hole] - 1;

    if (slot < 0)
        return -1;
    memset(&l->customers[slot], 0, sizeof(customer));
    l->live--;
    l->index[hole] = 0;
    /* Those behind it that were pushed on by it move up (Knuth, TAOCP vol. 3, 6.4, algorithm R). */
    for (at = (at + 1) & l->index_mask; l->index[at] != 0; at = (at + 1) & l->index_mask) {
        uint32_t home = hash_of(l->customers[l->index[at] - 1].id) & l->index_mask;
        if (((at - home) & l->index_mask) >= ((at - hole) & l->index_mask)) {
            l->index[hole] = l->index[at];
            l->index[at] = 0;
            hole = at;
        }
    }
    return slot;
}

/* The slot of the customer to be given up next, or -1: the clock's hand takes one use from each that it passes. */
CV_EXPORT int64_t cv_oldest(cv_loop *l)
{
    for (uint64_t steps = (uint64_t)l->slots * (MOST_USES + 1); steps > 0; steps--) {
        customer *c = &l->customers[l->hand];
        uint32_t slot = l->hand;
        l->hand = l->hand + 1 < l->slots ? l->hand + 1 : 0;
        if (!(c->flags & LIVE))
            continue;
        if (c->uses == 0)
            return slot;
        c->uses--;
    }
    return -1;
}

/* ---- One batch --------------------------------------------------------------------------------- */

static void free_batch(cv_loop *l)
{
    free(l->outcomes);
    free(l->classes);
    free(l->groups);
    free(l->ends);
    free(l->missed);
    free(l->heads);
    l->outcomes = l->classes = l->groups = NULL;
    l->ends = l->missed = l->heads = NULL;
    l->batch_size = 0;
}

CV_EXPORT void cv_close(cv_loop *l)
{
    unmap_pages(&l->pages);
    if (l->texts != NULL)
        explicit_bzero(l->texts, l->texts_size);
    free(l->texts);
    if (l->whole != NULL)
        explicit_bzero(l->whole, l->whole_size);
    free(l->whole);
    free_batch(l);
    free(l->customers);
    free(l->index);
    free(l);
}

static int reserve(cv_loop *l, size_t count)
{
    if (count <= l->batch_size)
        return 0;
    free_batch(l);
    l->outcomes = malloc(count);
    l->classes = malloc(count);
    l->groups = malloc(count * (HEAD + ITEM));
    l->ends = malloc(count * sizeof *l->ends);
    l->missed = malloc(count * sizeof *l->missed);
    l->heads = malloc(count * sizeof *l->heads);
    if (!l->outcomes || !l->classes || !l->groups || !l->ends || !l->missed || !l->heads)
        return NO_MEMORY;
    l->batch_size = count;
    return 0;
}

static int reserve_text(cv_loop *l, size_t written, size_t more)
{
    size_t size = l->texts_size;
    unsigned char *made;

    if (size - written >= more)
        return 0;
    while (size - written < more)
        size *= 2;
    if ((made = malloc(size)) == NULL)
        return NO_MEMORY;
    memcpy(made, l->texts, written);
    explicit_bzero(l->texts, l->texts_size);
    free(l->texts);
    l->texts = made;
    l->texts_size = size;
    return 0;
}

/* Opens a file with the table `values`; 0, or -1 where it cannot be read. `cv_close` frees what was taken in any case. */
CV_EXPORT int cv_open(const char *path, size_t map_bytes, aead_open open, unsigned suite, size_t nonce_bytes,
                      size_t tag_bytes, const unsigned char *vault_id, unsigned char region,
                      const outcome_codes *codes, cv_loop **opened)
{
    cv_loop *l = *opened = calloc(1, sizeof *l);

    if (l == NULL)
        return NO_MEMORY;
    l->pages.file = -1;
    l->open = open;
    l->suite = suite;
    l->nonce_bytes = nonce_bytes;
    l->tag_bytes = tag_bytes;
    l->region = region;
    l->codes = *codes;
    memcpy(l->aad, vault_id, VAULT_ID);
    l->index_mask = 2047;
    l->texts_size = 64 << 10;
    l->texts = malloc(l->texts_size);
    l->index = calloc((size_t)l->index_mask + 1, sizeof *l->index);
    if (l->index == NULL || l->texts == NULL || reserve(l, 1024) != 0)
        return NO_MEMORY;
    return map_pages(&l->pages, path, map_bytes);
}

/* The vault's meta row says which transaction wrote it, and every transaction writes it. */
static int wrote_meta_row(pages *p, uint64_t main)
{
    uint64_t written = 0;
    span row;
    int there = root_of(p, main, "meta", &p->root);

    if (there == THERE && (there = row_of(p, (const unsigned char *)"meta", 4, &row)) == THERE) {
        if (row.size != META_ROW)
            return DAMAGED;
        for (int i = 0; i < 8; i++)
            written = written << 8 | row.data[WRITTEN_BY_AT + i];
        there = written == p->moment ? THERE : MISSING;
    }
    return there;
}

/* Begins a batch at the moment that the caller's transaction sees: THERE, MISSING where it has gone by, DAMAGED. */
CV_EXPORT int cv_begin(cv_loop *l, uint64_t moment)
{
    return look_at_moment(&l->pages, moment, "values", wrote_meta_row);
}

/* One row, for tests: THERE, MISSING or DAMAGED. */
CV_EXPORT int cv_row(cv_loop *l, const unsigned char *key, size_t size, span *found)
{
    return row_of(&l->pages, key, size, found);
}

/* Ends a batch, and wipes the plaintexts: at most so many bytes were written, and laid together. */
CV_EXPORT void cv_end(cv_loop *l, uint64_t written, uint64_t whole)
{
    l->pages.leaf = NULL;
    explicit_bzero(l->texts, written < l->texts_size ? written : l->texts_size);
    if (l->whole != NULL)
        explicit_bzero(l->whole, whole < l->whole_size ? whole : l->whole_size);
}

/* ---- The loop ------------------------------------------------------------------------------------------------- */

/* The tables' number for a place, or -1 where it was not worked out yet. */
static int number_of(const cv_job *j, uint32_t place)
{
    for (uint32_t at = (place * 0x9E3779B1u) & j->places_mask; j->places[at] != 0; at = (at + 1) & j->places_mask)
        if (j->places[at] == place + 1)
            return j->numbers[at];
    return -1;
}

static void add_group(cv_loop *l, cv_job *j)
{
    unsigned char *head = l->groups + j->grouped;

    memcpy(head, l->customers[j->slot].locator, LOCATOR);
    head[LOCATOR] = head[LOCATOR + 1] = 0;
    l->heads[j->heads++] = (uint32_t)j->grouped;
    j->grouped += HEAD;
}

static void add_item(cv_loop *l, cv_job *j, unsigned char field_class, unsigned char outcome)
{
    unsigned char *count = l->groups + l->heads[j->heads - 1] + LOCATOR;

    if (count[0] == 255 && count[1] == 255) { /* as many as a group may hold: another of the same customer */
        add_group(l, j);
        count = l->groups + l->heads[j->heads - 1] + LOCATOR;
    }
    unsigned char *item = l->groups + j->grouped;

    memcpy(item, j->blocks + (size_t)BLOCK * j->at + 7, 3);
    item[3] = field_class;
    item[4] = outcome;
    j->grouped += ITEM;
    if (++count[1] == 0)
        count[0]++;
    l->outcomes[j->at] = outcome;
    l->classes[j->at] = field_class;
    l->ends[j->at] = (uint32_t)j->written;
    j->at++;
}

/* An item whose text was written behind the others. */
static void add_text(cv_loop *l, cv_job *j, unsigned char field_class, unsigned char outcome, size_t size)
{
    j->written += size;
    j->taken += outcome == MASKED ? (size + 1) * MASK_GROWTH : size;
    j->unsettled += outcome == MASKED;
    add_item(l, j, field_class, outcome);
}

static void add_missed(cv_loop *l, cv_job *j, unsigned code)
{
    l->outcomes[j->at] = (unsigned char)code;
    l->classes[j->at] = 0;
    l->ends[j->at] = (uint32_t)j->written;
    l->missed[j->missed++] = j->at;
    j->at++;
}

/* Begins the run of the customer at `at`. */
static int begin_run(cv_loop *l, cv_job *j, const unsigned char *id)
{
    unsigned char key[KEY] = {0};
    span row;

    memcpy(j->current, id, ID);
    if (j->failed) {
        j->run = FAILED_RUN;
        j->run_code = (uint16_t)j->failed;
        j->failed = 0;
        return DONE;
    }
    j->run = NO_RUN;
    memcpy(key, id, ID);
    l->lookups++;
    int there = row_of(&l->pages, key, KEY, &row);
    if (there == DAMAGED)
        return DAMAGED;
    uint32_t entry = l->index[place_in_index(l, id)];
    if (there == MISSING || entry == 0 || row.size != ROW || memcmp(l->customers[entry - 1].row, row.data, ROW) != 0)
        return ADMIT;
    customer *c = &l->customers[j->slot = entry - 1];
    if (c->uses < MOST_USES)
        c->uses++;
    if (c->flags & TERMS && (c->serial != j->serial || (0 < c->until_ms && c->until_ms <= j->now_ms)))
        return JUDGE;
    uint32_t consent = j->consent_shift < 64 ? (uint32_t)(c->consents >> j->consent_shift & 3) : 0;
    int number = number_of(j, c->place | consent);
    if (number < 0)
        return PLACE;
    j->allowed = j->verdicts + 256 * (size_t)number;
    j->run = OPEN_RUN;
    add_group(l, j);
    return DONE;
}

/* Opens the value at `at`, of the run's customer. */
static int open_value(cv_loop *l, cv_job *j, const unsigned char *key)
{
    const customer *c = &l->customers[j->slot];
    span found;
    int there = row_of(&l->pages, key, KEY, &found);

    l->lookups++;
    if (there == DAMAGED)
        return DAMAGED;
    if (there == MISSING || (key[6] | key[7] | key[8]) == 0 || found.size < HEADER)
        return UNUSUAL;
    const unsigned char *record = found.data;
    if (record[2] & ALIAS)
        return UNUSUAL;
    unsigned char verdict = j->allowed[record[1]];
    if (verdict != PLAIN && verdict != MASKED) {
        add_item(l, j, record[1], l->codes.denials[verdict]);
        return DONE;
    }
    if (j->taken >= j->room) {
        if (j->unsettled > 0)
            return SETTLE;
        add_item(l, j, record[1], l->codes.reply_full);
        return DONE;
    }
    if (found.size < HEADER + l->nonce_bytes + l->tag_bytes || record[0] != l->suite || record[2] & ~SURROGATE ||
        record[7] != c->generation >> 8 || record[8] != (c->generation & 255))
        return UNUSUAL;
    size_t sealed = found.size - HEADER - l->nonce_bytes, plain = sealed - l->tag_bytes;
    if (reserve_text(l, j->written, plain) != 0)
        return NO_MEMORY;
    memcpy(l->aad + VAULT_ID, key, KEY);
    memcpy(l->aad + VAULT_ID + KEY, record, HEADER);
    if (l->open(l->texts + j->written, NULL, NULL, record + HEADER + l->nonce_bytes, sealed, l->aad, AAD,
                record + HEADER, (const unsigned char *)(uintptr_t)c->key) != 0)
        return UNUSUAL;
    uint32_t expires = (uint32_t)record[9] << 24 | (uint32_t)record[10] << 16 | (uint32_t)record[11] << 8 | record[12];
    if (expires != 0 && (int64_t)expires * 1000 <= j->now_ms) {
        explicit_bzero(l->texts + j->written, plain); /* behind `written`: `cv_end` would not */
        add_item(l, j, record[1], l->codes.expired);
        return DONE;
    }
    add_text(l, j, record[1], verdict, plain);
    return DONE;
}

static unsigned char *laid(unsigned char *at, const void *from, size_t size)
{
    memcpy(at, from, size);
    return at + size;
}

/*
 * Lays everything that was found one after the other, so that Python takes it with one copy:
 *
 *   ends u32 | heads u32 | missed u32 (native order) | outcomes u8 | classes u8 | groups | texts
 */
static int gather(cv_loop *l, cv_job *j)
{
    size_t size = 4 * ((size_t)j->count + j->heads + j->missed) + 2 * (size_t)j->count + j->grouped + j->written;

    if (l->whole == NULL || size > l->whole_size) {
        if (l->whole != NULL)
            explicit_bzero(l->whole, l->whole_size);
        free(l->whole);
        l->whole_size = 0;
        if ((l->whole = malloc(2 * size + 1)) == NULL) /* + 1: a batch may be empty */
            return NO_MEMORY;
        l->whole_size = 2 * size + 1;
    }
    unsigned char *at = l->whole;
    at = laid(at, l->ends, 4 * (size_t)j->count);
    at = laid(at, l->heads, 4 * (size_t)j->heads);
    at = laid(at, l->missed, 4 * (size_t)j->missed);
    at = laid(at, l->outcomes, j->count);
    at = laid(at, l->classes, j->count);
    at = laid(at, l->groups, j->grouped);
    laid(at, l->texts, j->written);
    j->whole = l->whole;
    j->whole_bytes = size;
    return DONE;
}

/*
 * Brings what is known of the customers of the next tokens near, for in random order each look at one of them waits
 * for memory: first the place in the index, then the entry, then the key.
 */
static void look_ahead(const cv_loop *l, const cv_job *j)
{
    for (unsigned step = 2; step <= 6; step += 2) {
        const unsigned char *block = j->blocks + (size_t)BLOCK * (j->at + step);
        unsigned char id[ID];

        if (j->at + step >= j->count)
            return;
        if (memcmp(block + NUMBER_AT, block - BLOCK + NUMBER_AT, ID - 1) == 0)
            continue;
        id[0] = block[0];
        memcpy(id + 1, block + NUMBER_AT, ID - 1);
        const uint32_t *place = &l->index[hash_of(id) & l->index_mask];
        if (step == 6) {
            __builtin_prefetch(place);
        } else if (*place != 0) {
            const customer *c = &l->customers[*place - 1];
            if (step == 4) {
                __builtin_prefetch(c);
                __builtin_prefetch((const unsigned char *)(c + 1) - 1);
            } else {
                __builtin_prefetch((const void *)(uintptr_t)c->key);
            }
        }
    }
}

/* Goes on until the batch is done, or says why it stops. */
CV_EXPORT int cv_read(cv_loop *l, cv_job *j)
{
    unsigned char key[KEY];

    if (j->at == 0 && reserve(l, j->count) != 0)
        return NO_MEMORY;
    while (j->at < j->count) {
        const unsigned char *block = j->blocks + (size_t)BLOCK * j->at;
        if (block[0] != l->region || !j->domains[block[1]]) {
            add_missed(l, j, l->codes.token_unknown);
            continue;
        }
        key[0] = block[0];
        memcpy(key + 1, block + NUMBER_AT, KEY - 1);
        look_ahead(l, j);
        if (j->run == NO_RUN || memcmp(key, j->current, ID) != 0) {
            int stopped = begin_run(l, j, key);
            if (stopped != DONE)
                return stopped;
        }
        if (j->run == FAILED_RUN) {
            add_missed(l, j, j->run_code);
            continue;
        }
        int stopped = open_value(l, j, key);
        if (stopped != DONE)
            return stopped;
    }
    return gather(l, j);
}

CV_EXPORT void cv_found_of(const cv_loop *l, cv_found *found)
{
    *found = (cv_found){l->texts, l->ends, l->outcomes, l->classes};
}

/* Answers UNUSUAL: what the token at `at` comes to. */
CV_EXPORT int cv_tell(cv_loop *l, cv_job *j, unsigned char field_class, unsigned char outcome, const char *text,
                      size_t size)
{
    if (reserve_text(l, j->written, size) != 0)
        return NO_MEMORY;
    memcpy(l->texts + j->written, text, size);
    add_text(l, j, field_class, outcome, size);
    return 0;
}
