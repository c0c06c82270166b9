/*
 * Reads rows out of an LMDB file, at the moment that an open read transaction of this process sees.
 *
 * Why not LMDB itself: it hands out no way into a transaction that somebody else began, and the same file must not
 * be opened by it twice in a process. So this reads the pages, and only reads; LMDB goes on to do all else. The
 * layout is that of LMDB 0.9 on 64-bit little-endian machines (its files say so: magic, version, page size):
 *
 *   page    number u64 | pad u16 | flags u16 | lower u16, upper u16 | offsets of nodes u16 each ... nodes
 *           or, of the first of several overflow pages, pages u32 in place of lower and upper
 *   node    low u16 | high u16 | flags u16 | key size u16 | key | data
 *           of a leaf: size of the data low | high << 16; of a branch: page low | high << 16 | flags << 32
 *   meta    page header | magic u32 | version u32 | address u64 | map size u64 | free tree 48 | main tree 48
 *           | last page u64 | transaction u64
 *   tree    pad u32 (page size, in the free tree) | flags u16 | depth u16 | four counts u64 | root page u64
 *
 * - The meta page of transaction n is page n & 1. It stays what it is until transaction n + 2 is committed.
 * - The caller's transaction keeps every page that can be reached from its roots.
 * - Which moment was met is then verified by a row that says which transaction wrote it (`moment_of`).
 * - Nothing that a page says is trusted: every number is compared with the file's and the page's bounds, so damage
 *   ends in DAMAGED and not in a wild read.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_HEAD = 16, FLAGS_AT = 10, LOWER_AT = 12, UPPER_AT = 14, NODE_HEAD = 8, DEEPEST = 32, NEAR = 8 };
enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8, ODD_PAGES = 0x60 /* of duplicates */ };
enum { BIG = 1, SUBTREE = 2, DUPLICATES = 4 };
enum { MAGIC_AT = 16, VERSION_AT = 20, FREE_AT = 40, MAIN_AT = 88, LAST_AT = 136, TRANSACTION_AT = 144 };
enum { TREE = 48, ROOT_AT = 40 };
enum { MISSING = 0, THERE = 1, DAMAGED = -1 };

#define LMDB_MAGIC 0xBEEFC0DEu
#define LMDB_VERSION 1u
#define NO_PAGE UINT64_MAX

typedef struct { const unsigned char *data; size_t size; } span;

typedef struct {
    int file;
    const unsigned char *map;
    size_t map_bytes, file_bytes, page_bytes;
    uint64_t moment, last_page, root; /* of the table */
    const unsigned char *leaf;        /* where the last search ended: its page, and the node there or after it */
    unsigned at, count;
} pages;

static inline uint16_t u16(const unsigned char *at) { uint16_t n; memcpy(&n, at, 2); return n; }
static inline uint32_t u32(const unsigned char *at) { uint32_t n; memcpy(&n, at, 4); return n; }
static inline uint64_t u64(const unsigned char *at) { uint64_t n; memcpy(&n, at, 8); return n; }

/* Maps a file; 0 or -1. What was done is undone by `unmap_pages` in any case. */
static int map_pages(pages *p, const char *path, size_t map_bytes)
{
    struct stat about;

    memset(p, 0, sizeof *p);
    p->moment = NO_PAGE;
    p->file = open(path, O_RDONLY | O_CLOEXEC);
    if (p->file < 0 || fstat(p->file, &about) != 0)
        return -1;
    void *map = mmap(NULL, map_bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, p->file, 0);
    if (map == MAP_FAILED)
        return -1;
    p->map = map;
    p->map_bytes = map_bytes;
    p->file_bytes = (size_t)about.st_size;
    madvise(map, map_bytes, MADV_RANDOM);
    if (p->file_bytes < TRANSACTION_AT + 8)
        return -1;
    p->page_bytes = u32(p->map + FREE_AT);
    if (p->page_bytes < 512 || p->page_bytes > 65536 || p->page_bytes & (p->page_bytes - 1) ||
        p->file_bytes < 2 * p->page_bytes)
        return -1;
    return 0;
}

static void unmap_pages(pages *p)
{
    if (p->map != NULL)
        munmap((void *)(uintptr_t)p->map, p->map_bytes);
    if (p->file >= 0)
        close(p->file);
    p->map = NULL;
    p->file = -1;
}

/* So many pages from `number` on, or NULL where the transaction has none such. */
static const unsigned char *page_at(const pages *p, uint64_t number, uint64_t count)
{
    if (number < 2 || number > p->last_page || count > p->last_page - number + 1)
        return NULL;
    return p->map + number * p->page_bytes;
}

/* The nodes on a page: how many, or -1 where it is not one of these flags. */
static int nodes_on(const pages *p, const unsigned char *page, unsigned kind)
{
    unsigned flags = u16(page + FLAGS_AT), lower = u16(page + LOWER_AT), upper = u16(page + UPPER_AT);

    if ((flags & (kind | ODD_PAGES)) != kind || lower < PAGE_HEAD || lower > upper || upper > p->page_bytes)
        return -1;
    return (int)(lower - PAGE_HEAD) / 2;
}

/* A node's place on its page, its key with it; NULL where it leads out of the page. */
static const unsigned char *node_at(const pages *p, const unsigned char *page, unsigned index, span *key)
{
    size_t offset = u16(page + PAGE_HEAD + 2 * index);
    const unsigned char *node = page + offset;

    if (offset < PAGE_HEAD || offset + NODE_HEAD > p->page_bytes)
        return NULL;
    key->data = node + NODE_HEAD;
    key->size = u16(node + 6);
    return offset + NODE_HEAD + key->size > p->page_bytes ? NULL : node;
}

/* As memcmp, which costs more than it does for keys so short: eight bytes at a time, the first the highest. */
static inline int order_of(const unsigned char *key, size_t size, const span *other)
{
    size_t at = 0, both = size < other->size ? size : other->size;

    for (; both - at >= 8; at += 8) {
        uint64_t ours = __builtin_bswap64(u64(key + at)), theirs = __builtin_bswap64(u64(other->data + at));
        if (ours != theirs)
            return ours < theirs ? -1 : 1;
    }
    for (; at < both; at++)
        if (key[at] != other->data[at])
            return key[at] < other->data[at] ? -1 : 1;
    return (size > other->size) - (size < other->size);
}

/* The first node from `low` on whose key is not below `key`: its number; THERE if it is that key. */
static int search_page(const pages *p, const unsigned char *page, unsigned low, unsigned count,
                       const unsigned char *key, size_t size, unsigned *found)
{
    int there = MISSING;
    unsigned high = count;
    span other;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (node_at(p, page, middle, &other) == NULL)
            return DAMAGED;
        int order = order_of(key, size, &other);
        if (order == 0) {
            *found = middle;
            return THERE;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *found = low;
    return there;
}

/* Goes down from a root to where a key is or would be. */
static int descend(pages *p, uint64_t number, const unsigned char *key, size_t size)
{
    p->leaf = NULL;
    if (number == NO_PAGE)
        return MISSING;
    for (int depth = 0; depth < DEEPEST; depth++) {
        const unsigned char *page = page_at(p, number, 1);
        span first;
        if (page == NULL)
            return DAMAGED;
        int count = nodes_on(p, page, LEAF);
        if (count >= 0) {
            p->leaf = page;
            p->count = (unsigned)count;
            return search_page(p, page, 0, (unsigned)count, key, size, &p->at);
        }
        unsigned index;
        if ((count = nodes_on(p, page, BRANCH)) < 1)
            return DAMAGED;
        int there = search_page(p, page, 1, (unsigned)count, key, size, &index); /* the first one has no key */
        if (there == DAMAGED)
            return DAMAGED;
        const unsigned char *node = node_at(p, page, there == THERE ? index : index - 1, &first);
        if (node == NULL)
            return DAMAGED;
        number = u16(node) | (uint64_t)u16(node + 2) << 16 | (uint64_t)u16(node + 4) << 32;
    }
    return DAMAGED;
}

/* The data of the node where the last search ended. */
static int data_of(const pages *p, span *found, unsigned *flags)
{
    span key;
    const unsigned char *node = node_at(p, p->leaf, p->at, &key);

    if (node == NULL)
        return DAMAGED;
    size_t size = u16(node) | (size_t)u16(node + 2) << 16;
    const unsigned char *data = key.data + key.size;
    *flags = u16(node + 4);
    if (*flags & BIG) {
        if ((size_t)(data - p->leaf) + 8 > p->page_bytes || u64(data) > p->last_page)
            return DAMAGED;
        const unsigned char *page = page_at(p, u64(data), (PAGE_HEAD + size + p->page_bytes - 1) / p->page_bytes);
        if (page == NULL || !(u16(page + FLAGS_AT) & OVERFLOW))
            return DAMAGED;
        data = page + PAGE_HEAD;
    } else if ((size_t)(data - p->leaf) + size > p->page_bytes) {
        return DAMAGED;
    }
    found->data = data;
    found->size = size;
    return THERE;
}

/* A row of the table; looks on the leaf of the last search first, a few rows on. */
static int row_of(pages *p, const unsigned char *key, size_t size, span *found)
{
    unsigned flags;
    int there = MISSING;

    if (p->leaf != NULL && p->count > 0) {
        unsigned at = p->at, end = at + NEAR < p->count ? at + NEAR : p->count;
        span other;
        for (; at < end && there == MISSING; at++) {
            if (node_at(p, p->leaf, at, &other) == NULL)
                return DAMAGED;
            int order = order_of(key, size, &other);
            if (order < 0)
                break;
            if (order == 0) {
                there = THERE;
                p->at = at;
            }
        }
    }
    if (there == MISSING)
        there = descend(p, p->root, key, size);
    if (there == THERE && (there = data_of(p, found, &flags)) == THERE && flags & (SUBTREE | DUPLICATES))
        there = DAMAGED;
    return there;
}

/* The root of a tree that has a name in another one. */
static int root_of(pages *p, uint64_t main, const char *name, uint64_t *root)
{
    span found;
    unsigned flags = 0;
    int there = descend(p, main, (const unsigned char *)name, strlen(name));

    if (there == THERE && (there = data_of(p, &found, &flags)) == THERE) {
        if ((flags & (SUBTREE | DUPLICATES)) != SUBTREE || found.size != TREE)
            return DAMAGED;
        *root = u64(found.data + ROOT_AT);
    }
    p->leaf = NULL;
    return there;
}

/*
 * Looks at the file as transaction `moment` left it, and finds the table. THERE; MISSING where that moment has gone
 * by; DAMAGED. `verify` has to confirm, by a row, that what was met is that moment.
 */
static int look_at_moment(pages *p, uint64_t moment, const char *table, int (*verify)(pages *, uint64_t main))
{
    unsigned char meta[TRANSACTION_AT + 8];
    struct stat about;

    p->leaf = NULL;
    if (p->moment == moment)
        return THERE;
    p->moment = NO_PAGE;
    memcpy(meta, p->map + (moment & 1) * p->page_bytes, sizeof meta);
    if (u64(meta + TRANSACTION_AT) != moment)
        return MISSING;
    if (u32(meta + MAGIC_AT) != LMDB_MAGIC || u32(meta + VERSION_AT) != LMDB_VERSION || !(u16(meta + FLAGS_AT) & META))
        return DAMAGED;
    p->last_page = u64(meta + LAST_AT);
    if (p->last_page >= p->map_bytes / p->page_bytes)
        return DAMAGED;
    if (p->last_page >= p->file_bytes / p->page_bytes) {
        if (fstat(p->file, &about) != 0 || (size_t)about.st_size < 2 * p->page_bytes)
            return DAMAGED;
        p->file_bytes = (size_t)about.st_size;
        /* Pages at the end that one transaction took and gave back were never written: the file may be shorter. */
        if (p->last_page >= p->file_bytes / p->page_bytes)
            p->last_page = p->file_bytes / p->page_bytes - 1;
    }
    uint64_t main = u64(meta + MAIN_AT + ROOT_AT);
    p->moment = moment;
    int there = verify(p, main);
    if (there == THERE && (there = root_of(p, main, table, &p->root)) == MISSING)
        there = DAMAGED;
    if (there == DAMAGED && memcmp(meta, p->map + (moment & 1) * p->page_bytes, sizeof meta) != 0)
        there = MISSING; /* it was copied while another process wrote it anew */
    if (there != THERE)
        p->moment = NO_PAGE;
    return there;
}
