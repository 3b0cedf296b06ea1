/* Feeds the OTLP decoder with damaged requests, under the sanitizers: otlp_main SEED SECONDS FILE...
 *
 * Each input lies in memory of exactly its size, so that a read past its end is seen; of what the decoder is sure,
 * every byte is read, offsets checked, and all is released, so that a leak is seen. The files are the corpus. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "otlp_arrow.h"

int32_t wk_otlp_read(int32_t signal, const uint8_t *payload, int64_t size, int64_t received, struct ArrowArray *arrays);

static uint64_t state;

static uint64_t draw(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below == 0 ? 0 : state % below;
}

static volatile uint64_t seen;

static void touch(const void *data, int64_t size) {
    for (int64_t i = 0; i < size; i++) {
        seen += ((const uint8_t *)data)[i];
    }
}

/* Columns of unknown width: text has three buffers, lists one child; of fixed widths only the least is read. */
static void read_column(const struct ArrowArray *column) {
    if (column->buffers[0] != NULL) {
        touch(column->buffers[0], (column->length + 7) / 8);
    }
    if (column->n_buffers < 3 && column->n_children == 0) {
        touch(column->buffers[1], (column->length + 7) / 8);
        return;
    }
    const int32_t *offsets = column->buffers[1];
    const int64_t end = column->n_children == 1 ? column->children[0]->length : offsets[column->length];
    for (int64_t row = 0; row < column->length; row++) {
        if (offsets[row] > offsets[row + 1] || offsets[row] < 0 || offsets[row + 1] > end) {
            abort();
        }
    }
    if (column->n_children == 1) {
        touch(column->children[0]->buffers[1], end * 8);
    } else {
        touch(column->buffers[2], end);
    }
}

static int decode(const uint8_t *bytes, size_t size) {
    int sure = 0;
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, bytes, size);
    for (int32_t signal = 0; signal < 3; signal++) {
        struct ArrowArray arrays[4];
        if (!wk_otlp_read(signal, exact, (int64_t)size, 1763700000000000000, arrays)) {
            continue;
        }
        sure++;
        for (int i = 0; i < 4; i++) {
            for (int64_t at = 0; at < arrays[i].n_children; at++) {
                read_column(arrays[i].children[at]);
            }
            arrays[i].release(&arrays[i]);
        }
    }
    free(exact);
    return sure;
}

typedef struct {
    uint8_t *data;
    size_t size;
} file;

static file load(const char *path) {
    FILE *from = fopen(path, "rb");
    if (from == NULL || fseek(from, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    const long size = ftell(from);
    rewind(from);
    file loaded = {malloc((size_t)size + 1), (size_t)size};
    if (loaded.data == NULL || fread(loaded.data, 1, loaded.size, from) != loaded.size) {
        perror(path);
        exit(2);
    }
    fclose(from);
    return loaded;
}

static size_t damage(uint8_t *data, size_t size, size_t room, const file *other) {
    const size_t at = (size_t)draw(size + 1);
    size_t count = 1 + (size_t)draw(40);
    switch (draw(6)) {
        case 0:
        case 1:
            if (at < size) {
                data[at] ^= (uint8_t)(1u << draw(8));
            }
            return size;
        case 2:
            return at;
        case 3:
            count = count < size - at ? count : size - at;
            memmove(data + at, data + at + count, size - at - count);
            return size - count;
        case 4:
            if (at < size) {
                data[at] = (uint8_t)draw(256);
            }
            return size;
        default:
            count = count < other->size ? count : other->size;
            if (size + count > room) {
                return size;
            }
            memmove(data + at + count, data + at, size - at);
            memcpy(data + at, other->data + draw(other->size - count + 1), count);
            return size + count;
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s SEED SECONDS FILE...\n", argv[0]);
        return 2;
    }
    state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    const double seconds = atof(argv[2]);
    const int count = argc - 3;
    file *files = calloc((size_t)count, sizeof *files);
    size_t largest = 0;
    for (int i = 0; i < count; i++) {
        files[i] = load(argv[i + 3]);
        largest = files[i].size > largest ? files[i].size : largest;
    }
    const size_t room = largest + 4096;
    uint8_t *data = malloc(room);
    uint64_t runs = 0, sure = 0;
    for (time_t begun = time(NULL); difftime(time(NULL), begun) < seconds; runs++) {
        const file *from = &files[draw((uint64_t)count)];
        size_t size = from->size;
        memcpy(data, from->data, size);
        for (uint64_t times = draw(5); times > 0; times--) {
            size = damage(data, size, room, &files[draw((uint64_t)count)]);
        }
        sure += (uint64_t)decode(data, size);
    }
    printf("%llu runs, %llu decoded\n", (unsigned long long)runs, (unsigned long long)sure);
    for (int i = 0; i < count; i++) {
        free(files[i].data);
    }
    free(files);
    free(data);
    return 0;
}
