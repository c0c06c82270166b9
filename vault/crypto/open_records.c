/*
 * Opens a batch of sealed records: the inner loop of detokenization, without an interpreter between
 * two values. vault/hotpath/opening.py holds the same loop in Python; tests hold the two equal.
 *
 * It calls libsodium through a function pointer, allocates nothing, keeps nothing, and reads and
 * writes only inside the buffers that it is given:
 *
 *   record   suite u8 | field_class u8 | flags u8 | version u32 | dek_generation u16 | expires_s u32
 *            | nonce | ciphertext and tag          (big-endian; the first 13 bytes are the header)
 *   AAD      vault id 16 | key 9 | header 13
 *   item     value_no u24 | field_class u8 | outcome u8; field_class and outcome 0 where the record is
 *            not the usual one, does not open, or is not to be revealed: the caller looks into those
 *   out      the plaintext of each record, each but the last followed by a zero byte
 *
 * Usual is a record of the given suite, without flags and expiry, of its run's DEK generation, that
 * the run's verdicts allow, and whose plaintext holds no zero byte.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CV_VERSION 1
#define CV_EXPORT __attribute__((visibility("default")))

enum { HEADER = 13, KEY = 9, VAULT_ID = 16, ITEM = 5, AAD = VAULT_ID + KEY + HEADER };
enum { PLAIN = 2, MASKED = 3 };

typedef int (*cv_open)(unsigned char *m, unsigned long long *mlen, unsigned char *nsec, const unsigned char *c,
                       unsigned long long clen, const unsigned char *ad, unsigned long long adlen,
                       const unsigned char *npub, const unsigned char *k);

/* A run of records of one customer: up to but not including `end`. */
typedef struct {
    uint64_t key;        /* address of the sealing key, in guarded memory */
    uint32_t end;
    uint16_t generation;
    uint16_t verdicts;   /* which 256 bytes of the verdicts */
} cv_run;

CV_EXPORT int cv_version(void) { return CV_VERSION; }

/*
 * Returns how many bytes of `out` were written, or -1 where the arguments do not belong together;
 * `out` then holds nothing to be used.
 */
CV_EXPORT long long cv_open_records(cv_open open, unsigned suite, size_t nonce_bytes, size_t tag_bytes,
                                    const unsigned char *vault_id, size_t count, const unsigned char *keys,
                                    const unsigned char *records, const uint32_t *ends, size_t run_count,
                                    const cv_run *runs, const unsigned char *verdicts, unsigned char *out,
                                    size_t out_size, unsigned char *items)
{
    unsigned char aad[AAD];
    size_t at = 0, written = 0, i = 0;

    memcpy(aad, vault_id, VAULT_ID);
    for (size_t r = 0; r < run_count; r++) {
        const cv_run *run = &runs[r];
        const unsigned char *allowed = verdicts + 256 * (size_t)run->verdicts;
        const unsigned char *secret = (const unsigned char *)(uintptr_t)run->key;

        if (run->end > count || run->end < i)
            return -1;
        for (; i < run->end; i++) {
            const unsigned char *record = records + at;
            const unsigned char *key = keys + KEY * i;
            unsigned char *item = items + ITEM * i;
            size_t size;

            if (ends[i] < at)
                return -1;
            size = ends[i] - at;
            at = ends[i];
            if (i > 0) {
                if (written >= out_size)
                    return -1;
                out[written++] = 0;
            }
            memcpy(item, key + 6, 3);
            item[3] = item[4] = 0;
            if (size < HEADER + nonce_bytes + tag_bytes || record[0] != suite || record[2] != 0 ||
                record[7] != run->generation >> 8 || record[8] != (run->generation & 255) ||
                (record[9] | record[10] | record[11] | record[12]) != 0)
                continue;
            unsigned char verdict = allowed[record[1]];
            size_t sealed = size - HEADER - nonce_bytes, plain = sealed - tag_bytes;
            if (verdict != PLAIN && verdict != MASKED)
                continue;
            if (out_size - written < plain)
                return -1;
            memcpy(aad + VAULT_ID, key, KEY);
            memcpy(aad + VAULT_ID + KEY, record, HEADER);
            if (open(out + written, NULL, NULL, record + HEADER + nonce_bytes, sealed, aad, AAD,
                     record + HEADER, secret) != 0) {
                memset(out + written, 0, plain);
                continue;
            }
            if (memchr(out + written, 0, plain) != NULL) {
                memset(out + written, 0, plain);
                continue;
            }
            written += plain;
            item[3] = record[1];
            item[4] = verdict;
        }
    }
    return i == count ? (long long)written : -1;
}
