/* Masking of a whole Arrow string column: a code a line, the distinct templates, and what was counted of each.
 *
 * Enters: the offsets and bytes of an Arrow string array, and event times. Leaves: per line the number of its template
 * within this batch; per distinct template its text, lines, first and last time and the rows of its first lines.
 * Equal lines are masked once. Knows no template ids: those are hashes of the text, taken by the caller once a template.
 */
#include "mask.h"

#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

enum { EXAMPLES = 5, PROBES_MAX = 16, LINES_REMEMBERED_MAX = 1 << 16 };
enum { ERROR_OFFSETS = -1, ERROR_MEMORY = -2 };

typedef struct {
    uint64_t hash;
    int64_t end; /* of its text in `texts`; it begins where the one before it ends */
    int64_t lines;
    int64_t first_unix_ns, last_unix_ns;
    int64_t rows[EXAMPLES];
} distinct_template;

typedef struct {
    uint64_t hash;
    int64_t row; /* -1: free */
} seen_line;

typedef struct {
    wk_mask_words words;
    uint64_t seed;
    uint8_t *scratch;
    uint8_t *texts;
    size_t texts_size, texts_capacity;
    distinct_template *found;
    size_t found_size, found_capacity;
    int64_t *slots; /* of `found`, -1: free */
    size_t slots_mask;
    seen_line *lines;
    size_t lines_mask, lines_capacity;
} masker;

static uint64_t hash_bytes(uint64_t seed, const uint8_t *bytes, size_t size) {
    const uint64_t prime = 0x9E3779B97F4A7C15u;
    uint64_t hash = (seed ^ size) * prime, word;
    for (; size >= 8; size -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    if (size) {
        word = 0;
        memcpy(&word, bytes, size);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    hash *= prime;
    return hash ^ (hash >> 32);
}

API int32_t wk_mask_version(void) { return WK_MASK_VERSION; }

API void wk_mask_free(masker *m) {
    if (!m) return;
    free(m->words.slots);
    free(m->scratch);
    free(m->texts);
    free(m->found);
    free(m->slots);
    free(m->lines);
    free(m);
}

static void add_word(wk_mask_words *words, const uint8_t *text, uint8_t size, uint32_t meaning) {
    uint32_t slot = wk_mask_word_hash(text, size);
    while (words->slots[slot & words->mask].size) slot++;
    wk_mask_word *word = &words->slots[slot & words->mask];
    memcpy(word->text, text, size);
    word->size = size;
    word->meaning = meaning;
    words->sizes_of[text[0]] |= 1u << size;
}

/* Makes a masker. `vocabulary`: for each word its size (1 byte), its text, its meaning (4 bytes, lowest first). */
API masker *wk_mask_new(const uint8_t *vocabulary, size_t size, size_t words, uint64_t seed) {
    masker *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    size_t slots = 64;
    while (slots < words * 4) slots *= 2;
    m->seed = seed;
    m->words.mask = (uint32_t)slots - 1;
    m->words.slots = calloc(slots, sizeof *m->words.slots);
    m->scratch = malloc(WK_MASK_TEMPLATE_BYTES_MAX);
    m->slots_mask = 255;
    m->slots = malloc((m->slots_mask + 1) * sizeof *m->slots);
    if (!m->words.slots || !m->scratch || !m->slots) {
        wk_mask_free(m);
        return NULL;
    }
    for (size_t at = 0, n = 0; n < words; n++) {
        if (at >= size) break;
        uint8_t length = vocabulary[at];
        if (length == 0 || length > WK_MASK_WORD_BYTES_MAX || size - at < (size_t)length + 5) break;
        const uint8_t *text = vocabulary + at + 1, *means = text + length;
        add_word(&m->words, text, length,
                 (uint32_t)means[0] | (uint32_t)means[1] << 8 | (uint32_t)means[2] << 16 | (uint32_t)means[3] << 24);
        at += (size_t)length + 5;
    }
    return m;
}

static size_t text_start(const masker *m, size_t code) { return code ? (size_t)m->found[code - 1].end : 0; }

static int grow_slots(masker *m) {
    size_t size = (m->slots_mask + 1) * 2;
    int64_t *slots = malloc(size * sizeof *slots);
    if (!slots) return ERROR_MEMORY;
    memset(slots, 0xFF, size * sizeof *slots);
    for (size_t code = 0; code < m->found_size; code++) {
        size_t slot = m->found[code].hash & (size - 1);
        while (slots[slot] >= 0) slot = (slot + 1) & (size - 1);
        slots[slot] = (int64_t)code;
    }
    free(m->slots);
    m->slots = slots;
    m->slots_mask = size - 1;
    return 0;
}

static int add_template(masker *m, uint64_t hash, size_t size) {
    if (m->found_size == m->found_capacity) {
        size_t capacity = m->found_capacity ? m->found_capacity * 2 : 256;
        distinct_template *found = realloc(m->found, capacity * sizeof *found);
        if (!found) return ERROR_MEMORY;
        m->found = found;
        m->found_capacity = capacity;
    }
    if (m->texts_capacity - m->texts_size < size) {
        size_t capacity = (m->texts_capacity + size) * 2;
        uint8_t *texts = realloc(m->texts, capacity);
        if (!texts) return ERROR_MEMORY;
        m->texts = texts;
        m->texts_capacity = capacity;
    }
    if (size) memcpy(m->texts + m->texts_size, m->scratch, size);
    m->texts_size += size;
    distinct_template *new = &m->found[m->found_size++];
    memset(new, 0, sizeof *new);
    memset(new->rows, 0xFF, sizeof new->rows);
    new->hash = hash;
    new->end = (int64_t)m->texts_size;
    return 0;
}

/* Gives the code of the template in `scratch`, or an error. */
static int64_t code_of(masker *m, size_t size) {
    uint64_t hash = hash_bytes(m->seed, m->scratch, size);
    size_t slot = hash & m->slots_mask;
    for (; m->slots[slot] >= 0; slot = (slot + 1) & m->slots_mask) {
        size_t code = (size_t)m->slots[slot], start = text_start(m, code);
        const distinct_template *known = &m->found[code];
        if (known->hash != hash || (size_t)known->end - start != size) continue;
        if (size == 0 || memcmp(m->texts + start, m->scratch, size) == 0) return (int64_t)code;
    }
    if (add_template(m, hash, size)) return ERROR_MEMORY;
    m->slots[slot] = (int64_t)m->found_size - 1;
    if (m->found_size * 2 > m->slots_mask && grow_slots(m)) return ERROR_MEMORY;
    return (int64_t)m->found_size - 1;
}

static int prepare(masker *m, int64_t rows) {
    size_t wanted = 64;
    while (wanted < (size_t)rows * 2 && wanted < LINES_REMEMBERED_MAX) wanted *= 2;
    if (wanted > m->lines_capacity) {
        seen_line *lines = realloc(m->lines, wanted * sizeof *lines);
        if (!lines) return ERROR_MEMORY;
        m->lines = lines;
        m->lines_capacity = wanted;
    }
    m->lines_mask = wanted - 1;
    memset(m->lines, 0xFF, wanted * sizeof *m->lines);
    memset(m->slots, 0xFF, (m->slots_mask + 1) * sizeof *m->slots);
    m->found_size = m->texts_size = 0;
    return 0;
}

static void count_line(distinct_template *t, int64_t row, int64_t time) {
    if (t->lines < EXAMPLES) t->rows[t->lines] = row;
    if (t->lines == 0 || time < t->first_unix_ns) t->first_unix_ns = time;
    if (t->lines == 0 || time > t->last_unix_ns) t->last_unix_ns = time;
    t->lines++;
}

/* Masks rows 0 .. rows-1 of an Arrow string array whose bytes are data[0, size): offsets has rows + 1 entries.
 * times and codes: one a row. Gives the number of distinct templates, or an error below 0.
 */
API int64_t wk_mask_run(masker *m, const uint8_t *data, int64_t size, const int32_t *offsets, int64_t rows,
                        const int64_t *times, int32_t *codes) {
    if (rows < 0 || prepare(m, rows)) return ERROR_MEMORY;
    for (int64_t row = 0; row < rows; row++) {
        int64_t start = offsets[row], end = offsets[row + 1];
        if (start < 0 || end < start || end > size) return ERROR_OFFSETS;
        const uint8_t *body = data + start;
        size_t length = (size_t)(end - start);
        uint64_t hash = hash_bytes(m->seed, body, length);
        seen_line *free_line = NULL;
        int64_t code = -1;
        for (size_t probe = 0; probe < PROBES_MAX; probe++) {
            seen_line *seen = &m->lines[(hash + probe) & m->lines_mask];
            if (seen->row < 0) {
                free_line = seen;
                break;
            }
            int64_t at = offsets[seen->row];
            if (seen->hash != hash || offsets[seen->row + 1] - at != (int64_t)length) continue;
            if (length == 0 || memcmp(data + at, body, length) == 0) {
                code = codes[seen->row];
                break;
            }
        }
        if (code < 0) {
            code = code_of(m, wk_mask_scan(&m->words, body, length, m->scratch));
            if (code < 0) return code;
            if (free_line) *free_line = (seen_line){hash, row};
        }
        codes[row] = (int32_t)code;
        count_line(&m->found[code], row, times[row]);
    }
    return (int64_t)m->found_size;
}

API const uint8_t *wk_mask_texts(const masker *m) { return m->texts; }

API int64_t wk_mask_texts_size(const masker *m) { return (int64_t)m->texts_size; }

/* Copies what was found into arrays of one entry a distinct template (rows: EXAMPLES each, -1 for none). */
API void wk_mask_found(const masker *m, int64_t *ends, int64_t *lines, int64_t *firsts, int64_t *lasts, int64_t *rows) {
    for (size_t code = 0; code < m->found_size; code++) {
        const distinct_template *t = &m->found[code];
        ends[code] = t->end;
        lines[code] = t->lines;
        firsts[code] = t->first_unix_ns;
        lasts[code] = t->last_unix_ns;
        memcpy(rows + code * EXAMPLES, t->rows, sizeof t->rows);
    }
}
