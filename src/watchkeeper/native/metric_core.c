/* The fused core of the metric detector: one call judges many series by one or more values each, then learns from them.
 *
 * State is a struct of arrays, FIELDS rows of `capacity` doubles; `rows` says which series the values are of. Values are
 * (steps, n), in order of time; NaN means "nothing was said" and changes nothing. Its twin in Python and what each field
 * means is detect/metrics/core.py: both give the same numbers to the last bit, so no operation may be reordered or fused.
 * On x86-64 the same steps exist for vectors of four doubles too, taken where the processor has AVX2.
 */
#include <stdint.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum { LEVEL, SCALE, LOW, HIGH, FAST, TAIL, EXCESS, HEAT, COUNT, LAST, RUN, RUN_MAX, MOVE, RATE, WARM, FIELDS };
enum { TILE = 64 };

#define WK_METRIC_VERSION 1
#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define HAS_WIDE 1
#include <cpuid.h>
#include <immintrin.h>
#define MAX_OF(a, b) _mm_max_pd((__m128d)(a), (__m128d)(b))
#define MIN_OF(a, b) _mm_min_pd((__m128d)(a), (__m128d)(b))
#endif
#define WIDTH 2
#define NAME(x) x##_2
#include "metric_step.h"
#undef WIDTH
#undef NAME

#ifdef HAS_WIDE
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#undef MAX_OF
#undef MIN_OF
#define MAX_OF(a, b) _mm256_max_pd((__m256d)(a), (__m256d)(b))
#define MIN_OF(a, b) _mm256_min_pd((__m256d)(a), (__m256d)(b))
#define WIDTH 4
#define NAME(x) x##_4
#include "metric_step.h"
#undef WIDTH
#undef NAME
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

/* Tells whether the processor has AVX2 and the system keeps its registers. */
static int ask_wide(void) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX)) return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

/* Asked once, for a virtual machine may take microseconds to answer. */
static int has_wide(void) {
    static _Atomic int known = -1;
    if (known < 0) known = ask_wide() != 0;
    return known;
}
#endif

EXPORT int32_t wk_metric_version(void) { return WK_METRIC_VERSION; }

/* rows: n indices below `capacity`, no series twice. values, surprises, standards: (steps, n). narrow: without AVX2. */
EXPORT void wk_metric_update(double *fields, int64_t capacity, const int64_t *rows, int64_t n, const double *values,
                             int64_t steps, double *surprises, double *standards, int32_t narrow) {
    void (*run)(double[FIELDS][TILE], int64_t, int64_t, const double *, int64_t, double *, double *) = run_2;
#ifdef HAS_WIDE
    if (!narrow && has_wide()) run = run_4;
#else
    (void)narrow;
#endif
    for (int64_t begin = 0; begin < n; begin += TILE) {
        int64_t wide = n - begin < TILE ? n - begin : TILE;
        double held[FIELDS][TILE];
        for (int field = 0; field < FIELDS; field++) {
            for (int64_t i = 0; i < wide; i++) held[field][i] = fields[field * capacity + rows[begin + i]];
            for (int64_t i = wide; i < TILE; i++) held[field][i] = 1.0;
        }
        run(held, wide, n, values + begin, steps, surprises + begin, standards + begin);
        for (int field = 0; field < RATE; field++)
            for (int64_t i = 0; i < wide; i++) fields[field * capacity + rows[begin + i]] = held[field][i];
    }
}
