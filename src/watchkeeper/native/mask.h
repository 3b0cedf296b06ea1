/* Masking of log lines: shared between the scanner (mask.c) and the batch runner (mask_batch.c). */
#ifndef WATCHKEEPER_MASK_H
#define WATCHKEEPER_MASK_H

#include <stddef.h>
#include <stdint.h>

/* Rises with every change of what is masked, together with MASK_VERSION in patterns/vocabulary.py. */
#define WK_MASK_VERSION 1

#define WK_MASK_WORD_BYTES_MAX 23
#define WK_MASK_BODY_BYTES_MAX 65536
#define WK_MASK_LINE_BYTES_MAX 4096
#define WK_MASK_LINES_MAX 4
/* No rule writes more than three bytes for one byte read; the joints between lines come on top. */
#define WK_MASK_TEMPLATE_BYTES_MAX (WK_MASK_LINES_MAX * (3 * WK_MASK_LINE_BYTES_MAX + 64))

typedef struct {
    uint8_t text[WK_MASK_WORD_BYTES_MAX];
    uint8_t size; /* 0: the slot is free */
    uint32_t meaning;
} wk_mask_word;

typedef struct {
    wk_mask_word *slots;
    uint32_t mask;              /* slots - 1, a power of two less one */
    uint32_t sizes_of[256];     /* by first byte: bit s is set when a word of s bytes begins so */
} wk_mask_words;

/* Writes the template of body[0, size) to out, which holds WK_MASK_TEMPLATE_BYTES_MAX bytes; gives its size. */
size_t wk_mask_scan(const wk_mask_words *words, const uint8_t *body, size_t size, uint8_t *out);

uint32_t wk_mask_word_hash(const uint8_t *text, size_t size);

#endif
