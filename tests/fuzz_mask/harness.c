/* Runs the masking kernel over made-up batches under the address and undefined-behaviour sanitizers.
 *
 * Usage: harness VOCABULARY WORDS ROUNDS SEED. Every batch lies in buffers of exactly its size, so that reading or
 * writing one byte too far is caught. Lines are strings of known pieces and of any bytes; some offsets are wrong.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct masker masker;
masker *wk_mask_new(const uint8_t *vocabulary, size_t size, size_t words, uint64_t seed);
void wk_mask_free(masker *m);
int64_t wk_mask_run(masker *m, const uint8_t *data, int64_t size, const int32_t *offsets, int64_t rows,
                    const int64_t *times, int32_t *codes);
const uint8_t *wk_mask_texts(const masker *m);
int64_t wk_mask_texts_size(const masker *m);
void wk_mask_found(const masker *m, int64_t *ends, int64_t *lines, int64_t *firsts, int64_t *lasts, int64_t *rows);

static const char *PIECES[] = {
    "<*>", "<", ">", "=", "==", "\"", "'", "[", "]", "(", ")", "()", "{", "}", "/", "\\", ":", "::", "..", ".", "-", "+",
    "@", "#", "blk_1", "Jun", "Sat", "11", " ", " ", "  ", "\n", "\n ", "user", "password", "for", "root", "http://", "KB",
    "<5 sec", "0xff", "deadbeef", "com.", "org.", "net", "\x1b[31m", "\x1b[", "HTTP/1.1", "/ HTTP/", "UTC", "12:00:01",
    "f0:e1:", "$", "_", "~/", "./", "C:\\", "key=", "|", "%", "?", "*", "\t", "\x7f", "\xc3\xa9", "\xe2", "-[4", "k={"};
enum { PIECES_COUNT = sizeof PIECES / sizeof *PIECES, ROWS_MAX = 40, ROW_BYTES_MAX = 80000 };

static uint64_t state;

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static size_t make_row(uint8_t *row) {
    uint32_t way = draw(50), pieces = draw(30);
    size_t size = 0;
    if (way == 0) { /* longer than any limit, of one piece */
        const char *piece = PIECES[draw(PIECES_COUNT)];
        size_t length = strlen(piece);
        while (size + length < ROW_BYTES_MAX) {
            memcpy(row + size, piece, length);
            size += length;
        }
        return size;
    }
    for (uint32_t k = 0; k < pieces; k++) {
        if (way < 40) {
            const char *piece = PIECES[draw(PIECES_COUNT)];
            memcpy(row + size, piece, strlen(piece));
            size += strlen(piece);
        } else {
            row[size++] = (uint8_t)draw(256);
        }
    }
    return size;
}

static void *exactly(const void *from, size_t size) {
    void *copy = malloc(size ? size : 1);
    if (!copy) exit(3);
    if (size) memcpy(copy, from, size);
    return copy;
}

static void check(masker *m, int64_t found, int64_t rows, const int32_t *codes) {
    int64_t *numbers = malloc((size_t)(found * 9 + 1) * sizeof *numbers);
    if (!numbers) exit(3);
    wk_mask_found(m, numbers, numbers + found, numbers + 2 * found, numbers + 3 * found, numbers + 4 * found);
    int64_t lines = 0;
    for (int64_t code = 0; code < found; code++) lines += numbers[found + code];
    for (int64_t row = 0; row < rows; row++) {
        if (codes[row] < 0 || codes[row] >= found) exit(4);
    }
    if (lines != rows || (found && numbers[found - 1] != wk_mask_texts_size(m))) exit(4);
    uint64_t sum = 0;
    for (int64_t k = 0; k < wk_mask_texts_size(m); k++) sum += wk_mask_texts(m)[k];
    if (sum == UINT64_MAX) exit(4);
    free(numbers);
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    static uint8_t vocabulary[65536], row[ROW_BYTES_MAX + 64];
    FILE *file = fopen(arguments[1], "rb");
    if (!file) return 2;
    size_t size = fread(vocabulary, 1, sizeof vocabulary, file);
    fclose(file);
    uint8_t *words = exactly(vocabulary, size);
    masker *m = wk_mask_new(words, size, strtoul(arguments[2], NULL, 10), 7);
    free(words);
    if (!m) return 3;
    state = strtoull(arguments[4], NULL, 10);
    uint8_t *gathered = malloc((size_t)ROWS_MAX * (ROW_BYTES_MAX + 64));
    if (!gathered) return 3;
    for (long rounds = strtol(arguments[3], NULL, 10); rounds > 0; rounds--) {
        int64_t rows = draw(ROWS_MAX), used = 0;
        int32_t offsets[ROWS_MAX + 1] = {0};
        int64_t times[ROWS_MAX];
        for (int64_t k = 0; k < rows; k++) {
            size_t length = make_row(row);
            memcpy(gathered + used, row, length);
            used += (int64_t)length;
            offsets[k + 1] = (int32_t)used;
            times[k] = (int64_t)draw(1000);
        }
        int wrong = rows > 0 && draw(20) == 0;
        if (wrong) offsets[1 + draw((uint32_t)rows)] = draw(2) ? -1 : (int32_t)used + 1 + (int32_t)draw(1000);
        uint8_t *data = exactly(gathered, (size_t)used);
        int32_t *exact_offsets = exactly(offsets, (size_t)(rows + 1) * sizeof *offsets);
        int64_t *exact_times = exactly(times, (size_t)rows * sizeof *times);
        int32_t *codes = malloc((size_t)(rows ? rows : 1) * sizeof *codes);
        if (!codes) return 3;
        int64_t found = wk_mask_run(m, data, used, exact_offsets, rows, exact_times, codes);
        if (wrong ? found >= 0 : found < 0) return 5;
        if (found >= 0) check(m, found, rows, codes);
        free(data);
        free(exact_offsets);
        free(exact_times);
        free(codes);
    }
    free(gathered);
    wk_mask_free(m);
    puts("ok");
    return 0;
}
