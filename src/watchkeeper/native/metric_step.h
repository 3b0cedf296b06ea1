/* One step of the metric core over vectors of WIDTH doubles; metric_core.c includes this once for each width it has.
 *
 * Before: WIDTH, NAME(x), which gives each function a name of its own for this width, and the fields and TILE. MAX_OF
 * and MIN_OF, where there are instructions for them, give the second when either is NaN, as `a > b ? a : b` does.
 */
typedef double NAME(vd) __attribute__((vector_size(WIDTH * 8)));
typedef int64_t NAME(vi) __attribute__((vector_size(WIDTH * 8)));
#define D NAME(vd)
#define I NAME(vi)

INLINE D NAME(pick)(I mask, D yes, D no) { return (D)((mask & (I)yes) | (~mask & (I)no)); }
#ifdef MAX_OF
#define LARGER(a, b) ((D)MAX_OF((a), (b)))
#define SMALLER(a, b) ((D)MIN_OF((a), (b)))
#else
#define LARGER(a, b) NAME(larger)(a, b)
#define SMALLER(a, b) NAME(smaller)(a, b)
INLINE D NAME(larger)(D a, D b) { return NAME(pick)(a > b, a, b); }
INLINE D NAME(smaller)(D a, D b) { return NAME(pick)(a < b, a, b); }
#endif
INLINE D NAME(absolute)(D a) { return (D)((I)a & INT64_MAX); }

#define ALL(number) ((D){0} + (number))
#define PICK(mask, yes, no) NAME(pick)(mask, yes, no)
#define LEARNED(yes, no) (plain ? (yes) : PICK(learns, yes, no))
#define SAID(yes, no) (plain ? (yes) : PICK(said, yes, no))

/* log2 of a finite number >= 1, within 2e-5. */
INLINE D NAME(log_2)(D a) {
    I bits = (I)a;
    D exponent = (D)((bits >> 52) | 0x4330000000000000) - 4503599627371519.0;
    D part = (D)((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000);
    D t = (part - 1.0) / (part + 1.0);
    D square = t * t;
    D series = ((square * (1.0 / 7.0) + (1.0 / 5.0)) * square + (1.0 / 3.0)) * square + 1.0;
    return exponent + 2.8853900817779268 * (t * series);
}

/* Judges and learns one value of each lane from `lane` on; gives their surprise, and their deviation in scales.
 * plain: every lane has a value, and has had one before. */
INLINE void NAME(step)(double held[FIELDS][TILE], int64_t lane, const double *values, double *surprises,
                       double *standards, int plain) {
    D state[FIELDS], value;
    memcpy(&value, values + lane, sizeof value);
    for (int field = 0; field < FIELDS; field++) memcpy(&state[field], &held[field][lane], sizeof(D));
    D count = state[COUNT], level = state[LEVEL], scale = state[SCALE];
    I said = (value == value), first = (count == 0.0);
    I learns = said & ~first, begins = said & first;
    D x = SAID(value, level);
    level = plain ? level : PICK(begins, x, level);
    D low = plain ? state[LOW] : PICK(begins, x, state[LOW]);
    D high = plain ? state[HIGH] : PICK(begins, x, state[HIGH]);

    D off = x - level, size = NAME(absolute)(off);
    D unit = LARGER(scale, NAME(absolute)(level) * 0.01);
    I still = (unit == 0.0);
    D safe = PICK(still, LARGER(size, ALL(2.2250738585072014e-308)), unit);
    D inverse = 1.0 / safe;
    D beyond = LARGER(LARGER(x - high, low - x), ALL(0.0));
    D bound = 4.0 * safe;
    D fast = state[FAST] + 0.25 * (LARGER(SMALLER(off, bound), -bound) - state[FAST]);
    D score = PICK(still & (size > 0.0), ALL(64.0), (beyond + NAME(absolute)(fast)) * inverse);
    score = SMALLER(score, ALL(1048576.0));
    D standard = SAID(LARGER(SMALLER(off * inverse, ALL(64.0)), ALL(-64.0)), value);

    D over = NAME(log_2)(1.0 + score) - state[TAIL];
    D surprise = 1.6989700043360187 + over / (state[EXCESS] * 2.302585092994046);
    D share = 1.0 / (count + 1.0);
    surprise = LARGER(SMALLER(surprise, 12.0 - 300.0 * share), ALL(0.0));
    I warm = (count >= state[WARM]);
    surprise = PICK(plain ? warm : (learns & warm), surprise, ALL(0.0));

    D rate = LARGER(state[RATE], share);
    I above = (over > 0.0);
    D calm = PICK(state[HEAT] > 2.0, ALL(0.1), ALL(1.0));
    D tail = state[TAIL] + calm * SMALLER(0.05 + 5.0 * share, ALL(0.5)) * PICK(above, ALL(0.98), ALL(-0.02));
    D weight = calm * (0.02 + 6.0 * share);
    D excess = state[EXCESS] + SMALLER(weight, ALL(0.2)) * (SMALLER(over, 4.0 * state[EXCESS]) - state[EXCESS]);
    I steady = (count >= 8.0), learns_tail = plain ? steady : (learns & steady);
    state[TAIL] = PICK(learns_tail, LARGER(tail, ALL(1.0)), state[TAIL]);
    state[EXCESS] = PICK(learns_tail & above, LARGER(excess, ALL(0.2)), state[EXCESS]);
    state[HEAT] = SAID(state[HEAT] + 0.3 * (SMALLER(surprise, ALL(8.0)) - state[HEAT]), state[HEAT]);
    state[FAST] = LEARNED(fast, state[FAST]);

    D clip = PICK(still, 0.3 * size, PICK(steady, 3.0 * safe, size));
    D kept = SMALLER(size, clip);
    state[SCALE] = LEARNED(scale + rate * (kept - scale), scale);
    state[LEVEL] = LEARNED(level + rate * PICK(off < 0.0, -kept, kept), level);

    D reach = PICK(warm, 0.1 * safe, size), fade = PICK(warm, 0.02 * state[RATE], ALL(0.0));
    D raised = PICK(x > high, high + SMALLER(x - high, reach), high - fade * (high - level));
    D lowered = PICK(x < low, low - SMALLER(low - x, reach), low + fade * (level - low));
    state[HIGH] = LEARNED(raised, high);
    state[LOW] = LEARNED(lowered, low);

    I same = (x == state[LAST]);
    I moved = plain ? ~same : (learns & ~same);
    state[RUN_MAX] = PICK(moved, LARGER(state[RUN_MAX], state[RUN]), state[RUN_MAX]);
    state[MOVE] = LEARNED(state[MOVE] + rate * (PICK(moved, ALL(1.0), ALL(0.0)) - state[MOVE]), state[MOVE]);
    state[RUN] = PICK(moved, ALL(0.0), LEARNED(state[RUN] + 1.0, state[RUN]));
    state[LAST] = SAID(x, state[LAST]);
    state[COUNT] = SAID(count + 1.0, count);

    memcpy(surprises + lane, &surprise, sizeof surprise);
    memcpy(standards + lane, &standard, sizeof standard);
    for (int field = 0; field < RATE; field++) memcpy(&held[field][lane], &state[field], sizeof(D));
}

/* Judges and learns `steps` values of each of the TILE series held; `wide` of them are real. */
static void NAME(run)(double held[FIELDS][TILE], int64_t wide, int64_t n, const double *values, int64_t steps,
                      double *surprises, double *standards) {
    for (int64_t at = 0; at < steps; at++, values += n, surprises += n, standards += n) {
        double value[TILE], surprise[TILE], standard[TILE];
        int missing = 0;
        for (int64_t i = 0; i < TILE; i++) value[i] = 0.0;
        memcpy(value, values, (size_t)wide * sizeof(double));
        for (int64_t i = 0; i < TILE; i++) missing |= (value[i] != value[i]) | (held[COUNT][i] == 0.0);
        if (missing)
            for (int64_t lane = 0; lane < wide; lane += WIDTH) NAME(step)(held, lane, value, surprise, standard, 0);
        else
            for (int64_t lane = 0; lane < wide; lane += WIDTH) NAME(step)(held, lane, value, surprise, standard, 1);
        memcpy(surprises, surprise, (size_t)wide * sizeof(double));
        memcpy(standards, standard, (size_t)wide * sizeof(double));
    }
}

#undef D
#undef I
#undef ALL
#undef PICK
#undef LARGER
#undef SMALLER
#undef LEARNED
#undef SAID
