/* Exact Hamming search over packed codes: the k nearest, or all within a radius, of many queries in one pass over the codes.
 *
 * Codes are rows of 64-bit words. A block of codes small enough for the first cache is compared with all queries before the next
 * block is read, so that a batch reads memory once; for several queries the block is first turned into planes, one a word, so that
 * eight codes are compared by one instruction a word. Each query keeps a limit, the distance below which a code still enters its
 * answer; since rows ascend and the lower row wins a tie, a code at the limit never enters, and nearly all codes cost one
 * comparison. What enters is appended in order of rows and thinned out when its room is full, so nothing is ever sorted but the
 * final k.
 *
 * Distances are computed at the best level the processor has: AVX-512 with VPOPCNTDQ, AVX2, NEON, or plain C. crossbit.codes.hamming
 * holds the twin in NumPy that every level has to agree with, bit for bit.
 */
#include "_hamming.h"

#define BLOCK 2048           /* most codes that all queries see before the next are read */
#define FEWEST 256           /* and fewest, however wide they are */
#define BLOCK_WORDS 2048     /* words of a block that has more than the fewest codes: 16 KB, half of the first cache */
#define LINE 8               /* words between two planes, so that they do not all fall into one set of the cache */
#define ROOM 4096            /* candidates beyond k that a query keeps before they are thinned out */
#define PLANES_FROM 4        /* queries from which turning a block into planes of words pays */
#define LOOK 300000000       /* words compared between two looks at signals: some hundredths of a second */

/* ---- candidates of one query ---- */

typedef struct {
    found_t *kept;    /* in order of rows */
    int64_t *count;   /* how many of `kept` have each distance */
    int64_t held, room, k;
    int64_t below;    /* of `kept`, nearer than the limit */
    int32_t limit;    /* a code enters below it */
    int32_t widest;   /* largest distance there is */
    int32_t within;   /* all below the limit are wanted, and it stands */
    int32_t failed;   /* no memory */
} answer_t;

static void thin_out(answer_t *a) {
    /* all that is nearer than the limit is kept, and of those at the limit the first, until there are k */
    int64_t at_limit = a->k - a->below, write = 0;
    for (int64_t i = 0; i < a->held; i++) {
        found_t f = a->kept[i];
        if (f.distance < a->limit || (f.distance == a->limit && at_limit-- > 0)) a->kept[write++] = f;
        else a->count[f.distance]--;
    }
    a->held = write;
}

static int make_room(answer_t *a) {
    if (!a->within && a->room >= a->k + ROOM) {
        thin_out(a);
        return 1;
    }
    int64_t room = a->room ? 2 * a->room : 256;
    if (!a->within && room > a->k + ROOM) room = a->k + ROOM;
    found_t *more = realloc(a->kept, (size_t)room * sizeof(found_t));
    if (!more) {
        a->failed = 1;
        a->limit = 0; /* nothing enters any more */
        return 0;
    }
    a->kept = more;
    a->room = room;
    return 1;
}

static inline void enter(answer_t *a, int64_t row, int32_t distance) {
    if (a->held == a->room && !make_room(a)) return;
    a->kept[a->held++] = (found_t){row, distance};
    a->count[distance]++;
    if (a->within) return;
    a->below++;
    while (a->below >= a->k && a->limit > 0) {
        a->limit--;
        a->below -= a->count[a->limit];
    }
}

static void write_out(answer_t *a, int64_t k, int64_t *rows, int32_t *distances) {
    /* counting sort: stable, so that ties stay in order of rows */
    int64_t total = 0;
    for (int32_t d = 0; d <= a->widest; d++) {
        int64_t here = a->count[d];
        a->count[d] = total;
        total += here;
    }
    for (int64_t i = 0; i < a->held; i++) {
        int64_t place = a->count[a->kept[i].distance]++;
        if (place < k) {
            rows[place] = a->kept[i].row;
            distances[place] = a->kept[i].distance;
        }
    }
    for (int64_t place = total; place < k; place++) {
        rows[place] = -1;
        distances[place] = a->widest + 1;
    }
}

/* ---- distances of a block ---- */

static inline void distances_plain(const uint64_t *codes, int64_t n, int words, const uint64_t *q, int32_t *out) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (int w = 0; w < words; w++) sum += ones(codes[i * words + w] ^ q[w]);
        out[i] = (int32_t)sum;
    }
}

#ifdef X86
__attribute__((target("popcnt"))) static void distances_popcnt(
    const uint64_t *codes, int64_t n, int words, const uint64_t *q, int32_t *out) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (int w = 0; w < words; w++) sum += (uint64_t)__builtin_popcountll(codes[i * words + w] ^ q[w]);
        out[i] = (int32_t)sum;
    }
}

__attribute__((target("avx2"))) static inline __m256i ones_avx2(__m256i x) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    __m256i nibbles = _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
                                      _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
    return _mm256_sad_epu8(nibbles, _mm256_setzero_si256());
}

/* planes: word w of code i lies at planes[w * stride + i] */
__attribute__((target("avx2"))) static void distances_avx2(
    const uint64_t *planes, int64_t stride, int64_t n, int words, const uint64_t *q, int32_t *out) {
    for (int64_t i = 0; i < n; i += 4) {
        __m256i sum = _mm256_setzero_si256();
        for (int w = 0; w < words; w++) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(planes + w * stride + i));
            sum = _mm256_add_epi64(sum, ones_avx2(_mm256_xor_si256(x, _mm256_set1_epi64x((long long)q[w]))));
        }
        __m256i narrow = _mm256_permutevar8x32_epi32(sum, _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0));
        _mm_storeu_si128((__m128i *)(out + i), _mm256_castsi256_si128(narrow));
    }
}

#define V512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq")))
#define V512_INLINE V512 static inline __attribute__((always_inline))

/* even and odd lanes of two vectors added: eight sums of neighbours, in order */
V512_INLINE __m512i add_neighbours(__m512i a, __m512i b) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    return _mm512_add_epi64(_mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b));
}

V512_INLINE __m512i add_eight(const __m512i *v) {
    return add_neighbours(
        add_neighbours(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3])),
        add_neighbours(add_neighbours(v[4], v[5]), add_neighbours(v[6], v[7])));
}

V512_INLINE __m512i differing(const uint64_t *codes, __m512i query) {
    return _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(codes), query));
}

/* a query as `eight_rows` wants it: repeated for 1, 2 and 4 words, filled up to 8 for the other short ones */
V512_INLINE __m512i turned(const uint64_t *q, const int words) {
    if (words == 1) return _mm512_set1_epi64((long long)q[0]);
    if (words == 2) return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)q));
    if (words == 4) return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)q));
    return _mm512_maskz_loadu_epi64((__mmask8)(words < 8 ? (1u << words) - 1 : 0xFF), q);
}

/* distances of eight codes that lie one after the other */
V512_INLINE __m512i eight_rows(const uint64_t *codes, const int words, const uint64_t *q, __m512i query) {
    if (words == 1) return differing(codes, query);
    if (words == 2) return add_neighbours(differing(codes, query), differing(codes + 8, query));
    __m512i v[8];
    if (words == 4) {
        for (int i = 0; i < 4; i++) v[i] = differing(codes + 8 * i, query);
        return add_neighbours(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3]));
    }
    for (int i = 0; i < 8; i++) {
        const uint64_t *code = codes + (int64_t)i * words;
        if (words < 8) {
            v[i] = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_maskz_loadu_epi64((__mmask8)((1u << words) - 1), code), query));
            continue;
        }
        __m512i sum = differing(code, query);
        int w = 8;
        for (; w + 8 <= words; w += 8) sum = _mm512_add_epi64(sum, differing(code + w, _mm512_loadu_si512(q + w)));
        if (w < words) {
            __mmask8 rest = (__mmask8)((1u << (words - w)) - 1);
            __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi64(rest, code + w), _mm512_maskz_loadu_epi64(rest, q + w));
            sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
        }
        v[i] = sum;
    }
    return add_eight(v);
}

V512 static void enter_hits(answer_t *a, __mmask8 hits, __m512i sum, int64_t row) {
    int64_t lanes[8];
    _mm512_storeu_si512(lanes, sum);
    while (hits) {
        int lane = __builtin_ctz(hits);
        hits = (__mmask8)(hits & (hits - 1));
        if (lanes[lane] < a->limit) enter(a, row + lane, (int32_t)lanes[lane]);  /* the limit may have sunk meanwhile */
    }
}

/* one query over a block; `words`, `planes` and `filtered` are constants where it is called, and each case is compiled for itself.
 * Gives how far it came: the last codes, fewer than eight, are left over. */
V512_INLINE int64_t pass(answer_t *a, const uint64_t *codes, int64_t stride, int64_t n, const int words, const int planes,
                         const uint64_t *q, int64_t row, const uint8_t *allow, const int filtered) {
    const __m512i query = turned(q, words);
    __m512i limit = _mm512_set1_epi64(a->limit);
    int64_t i = 0;
    if (planes || words <= 4) { /* four vectors a turn: a hit is rare, and looked for once */
        for (; i + 32 <= n; i += 32) {
            uint32_t may = 0xFFFFFFFF;
            if (filtered) {
                memcpy(&may, allow + ((row + i) >> 3), 4);
                if (!may) continue;
            }
            __m512i v[4];
            __mmask8 hits[4];
            if (planes) {
                const __m512i first = _mm512_set1_epi64((long long)q[0]);
                for (int j = 0; j < 4; j++) v[j] = differing(codes + i + 8 * j, first);
                for (int w = 1; w < words; w++) {
                    const __m512i word = _mm512_set1_epi64((long long)q[w]);
                    for (int j = 0; j < 4; j++) v[j] = _mm512_add_epi64(v[j], differing(codes + w * stride + i + 8 * j, word));
                }
            } else {
                for (int j = 0; j < 4; j++) v[j] = eight_rows(codes + (i + 8 * j) * words, words, q, query);
            }
            for (int j = 0; j < 4; j++)
                hits[j] = _mm512_mask_cmplt_epi64_mask(filtered ? (__mmask8)(may >> 8 * j) : 0xFF, v[j], limit);
            if (hits[0] | hits[1] | hits[2] | hits[3]) {
                for (int j = 0; j < 4; j++)
                    if (hits[j]) enter_hits(a, hits[j], v[j], row + i + 8 * j);
                limit = _mm512_set1_epi64(a->limit);
            }
        }
    }
    for (; i + 8 <= n; i += 8) {
        __mmask8 may = filtered ? allow[(row + i) >> 3] : 0xFF;
        if (!may) continue;
        __m512i sum;
        if (planes) {
            sum = differing(codes + i, _mm512_set1_epi64((long long)q[0]));
            for (int w = 1; w < words; w++)
                sum = _mm512_add_epi64(sum, differing(codes + w * stride + i, _mm512_set1_epi64((long long)q[w])));
        } else {
            sum = eight_rows(codes + i * words, words, q, query);
        }
        __mmask8 hits = _mm512_mask_cmplt_epi64_mask(may, sum, limit);
        if (hits) {
            enter_hits(a, hits, sum, row + i);
            limit = _mm512_set1_epi64(a->limit);
        }
    }
    return i;
}

#define CASE(n, planes) \
    case n: \
        i = allow ? pass(a, codes, stride, rows, n, planes, q, row, allow, 1) : pass(a, codes, stride, rows, n, planes, q, row, allow, 0); \
        break;

V512 static void scan_avx512(answer_t *a, const uint64_t *codes, int64_t stride, int planes, int64_t rows, int words,
                             const uint64_t *q, int64_t row, const uint8_t *allow) {
    int64_t i;
    if (planes) {
        switch (words) {
            CASE(2, 1) CASE(3, 1) CASE(4, 1) CASE(5, 1) CASE(6, 1) CASE(8, 1)
            default: i = pass(a, codes, stride, rows, words, 1, q, row, allow, allow != NULL);
        }
    } else {
        switch (words) {
            CASE(1, 0) CASE(2, 0) CASE(3, 0) CASE(4, 0) CASE(6, 0) CASE(8, 0)
            default: i = pass(a, codes, stride, rows, words, 0, q, row, allow, allow != NULL);
        }
    }
    for (; i < rows; i++) {
        if (allow && !(allow[(row + i) >> 3] >> ((row + i) & 7) & 1)) continue;
        int64_t sum = 0;
        for (int w = 0; w < words; w++)
            sum += __builtin_popcountll((planes ? codes[w * stride + i] : codes[i * words + w]) ^ q[w]);
        if (sum < a->limit) enter(a, row + i, (int32_t)sum);
    }
}
#endif

#ifdef NEON
static void distances_neon(const uint64_t *planes, int64_t stride, int64_t n, int words, const uint64_t *q, int32_t *out) {
    for (int64_t i = 0; i < n; i += 2) {
        uint64x2_t sum = vdupq_n_u64(0);
        for (int w = 0; w < words; w++) {
            uint64x2_t x = veorq_u64(vld1q_u64(planes + w * stride + i), vdupq_n_u64(q[w]));
            sum = vaddq_u64(sum, vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vcntq_u8(vreinterpretq_u8_u64(x))))));
        }
        out[i] = (int32_t)vgetq_lane_u64(sum, 0);
        out[i + 1] = (int32_t)vgetq_lane_u64(sum, 1);
    }
}
#endif

static void scan_distances(answer_t *a, const int32_t *distances, int64_t n, int64_t row, const uint8_t *allow) {
    for (int64_t i = 0; i < n; i += 16) {
        int64_t end = i + 16 < n ? i + 16 : n;
        int32_t limit = a->limit;
        int hit = 0;
        for (int64_t j = i; j < end; j++) hit |= distances[j] < limit;
        if (!hit) continue;
        for (int64_t j = i; j < end; j++)
            if (distances[j] < a->limit && (!allow || (allow[(row + j) >> 3] >> ((row + j) & 7) & 1)))
                enter(a, row + j, distances[j]);
    }
}

/* ---- the walk ---- */

int best_level(void) {
#ifdef X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return AVX512;
    if (__builtin_cpu_supports("avx2")) return AVX2;
#endif
#ifdef NEON
    return NEON_LEVEL;
#endif
    return PLAIN;
}

typedef struct {
    const uint64_t *queries, *codes;
    int64_t asked, first, last;  /* queries; rows of codes */
    int words, level;
    const uint8_t *allow;        /* a bit a row, lowest bit first, from row 0 on */
    const volatile uint8_t *stop;
    PyThreadState *python;       /* of this thread, put away while the lock of the interpreter is free */
} walk_t;

static int has_popcnt(void) {
#ifdef X86
    return __builtin_cpu_supports("popcnt");
#else
    return 0;
#endif
}

static int any_allowed(const uint8_t *allow, int64_t row, int64_t n) {
    for (int64_t byte = row >> 3; byte <= (row + n - 1) >> 3; byte++)
        if (allow[byte]) return 1;
    return 0;
}

static int64_t block_of(int words) {
    int64_t block = BLOCK_WORDS / words / 64 * 64;
    return block > BLOCK ? BLOCK : block < FEWEST ? FEWEST : block;
}

static int signalled(PyThreadState **python) {
    PyEval_RestoreThread(*python);
    int found = PyErr_CheckSignals();
    *python = PyEval_SaveThread();
    return found;
}

/* give 1 when it was stopped, -1 when a signal raised an exception */
static int walk(walk_t *w, answer_t *answers, uint64_t *planes, int32_t *distances) {
    const int words = w->words, popcnt = has_popcnt();
    const int turn = w->level == AVX2 || w->level == NEON_LEVEL || (w->level == AVX512 && words > 1 && w->asked >= PLANES_FROM);
    const int64_t block = turn || w->asked > 1 ? block_of(words) : BLOCK, stride = block + LINE;
    int64_t since = 0;
    for (int64_t row = w->first; row < w->last; row += block) {
        if (w->stop && *w->stop) return 1;
        if (since > LOOK) {
            if (signalled(&w->python)) return -1;
            since = 0;
        }
        int64_t n = w->last - row < block ? w->last - row : block;
        since += n * words * w->asked;
        if (w->allow && !any_allowed(w->allow, row, n)) continue;
        const uint64_t *codes = w->codes + row * words;
        if (turn) {
            for (int64_t i = 0; i < n; i++)
                for (int v = 0; v < words; v++) planes[v * stride + i] = codes[i * words + v];
            codes = planes;
        }
        for (int64_t q = 0; q < w->asked; q++) {
            const uint64_t *query = w->queries + q * words;
#ifdef X86
            if (w->level == AVX512) {
                scan_avx512(answers + q, codes, stride, turn, n, words, query, row, w->allow);
                continue;
            }
            if (w->level == AVX2) distances_avx2(codes, stride, n, words, query, distances);
            else if (popcnt) distances_popcnt(codes, n, words, query, distances);
            else distances_plain(codes, n, words, query, distances);
#elif defined(NEON)
            if (w->level == NEON_LEVEL) distances_neon(codes, stride, n, words, query, distances);
            else distances_plain(codes, n, words, query, distances);
#else
            distances_plain(codes, n, words, query, distances);
#endif
            (void)popcnt;
            scan_distances(answers + q, distances, n, row, w->allow);
        }
    }
    return 0;
}

/* ---- Python ---- */

int take(PyObject *from, Py_buffer *into, Py_ssize_t bytes, int writable, const char *name) {
    if (PyObject_GetBuffer(from, into, writable ? PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS : PyBUF_C_CONTIGUOUS) < 0) return -1;
    if (into->len < bytes) {
        PyErr_Format(PyExc_ValueError, "%s holds %zd bytes, expected %zd", name, into->len, bytes);
        PyBuffer_Release(into);
        return -1;
    }
    return 0;
}

static int level_known(int *level) {
    int best = best_level();
    if (*level < 0) *level = best;
    if (*level == PLAIN || *level == best || (*level == AVX2 && best == AVX512)) return 1;
    PyErr_SetString(PyExc_ValueError, "this processor has no such level");
    return 0;
}

/* what `nearest` and `within` share: the walk over buffers. Gives the answers, or NULL with an exception; *stopped says more. */
typedef struct {
    answer_t *answers;
    int64_t *count;
    int64_t asked;
} answers_t;

static void drop(answers_t *found) {
    for (int64_t q = 0; found->answers && q < found->asked; q++) free(found->answers[q].kept);
    free(found->answers);
    free(found->count);
}

static int run(walk_t *task, int64_t k, int32_t widest, int32_t radius, answers_t *found, int *stopped) {
    const size_t asked = (size_t)(task->asked ? task->asked : 1);
    const int64_t block = block_of(task->words) > BLOCK ? block_of(task->words) : BLOCK;
    uint64_t *planes = malloc(sizeof(uint64_t) * (size_t)((block_of(task->words) + LINE) * task->words) + 64);
    int32_t *distances = malloc(sizeof(int32_t) * (size_t)(block + 16));
    found->asked = task->asked;
    found->answers = calloc(asked, sizeof(answer_t));
    found->count = calloc(asked * (size_t)(widest + 2), sizeof(int64_t));
    int failed = !planes || !distances || !found->answers || !found->count;
    if (!failed) {
        for (int64_t q = 0; q < task->asked; q++) {
            answer_t *a = found->answers + q;
            a->count = found->count + q * (widest + 2);
            a->k = k;
            a->widest = widest;
            a->within = radius >= 0;
            a->limit = radius >= 0 ? radius + 1 : widest + 1;
        }
        task->python = PyEval_SaveThread();
        *stopped = walk(task, found->answers, planes, distances);
        PyEval_RestoreThread(task->python);
        for (int64_t q = 0; q < task->asked; q++) failed |= found->answers[q].failed;
    }
    free(planes);
    free(distances);
    if (*stopped < 0) return -1;
    if (failed) PyErr_NoMemory();
    return failed ? -1 : 0;
}

typedef struct {
    Py_buffer held[6];
    int got;
} buffers_t;

static void release(buffers_t *b) {
    while (b->got > 0) PyBuffer_Release(&b->held[--b->got]);
}

/* look at sizes, and take queries, codes, the bitmap and the flag */
static int open_task(walk_t *task, buffers_t *b, PyObject *queries, PyObject *codes, PyObject *allow, PyObject *stop, int widest) {
    const int64_t most = 1LL << 40;
    if (task->asked < 0 || task->asked > most || task->first < 0 || task->last < task->first || task->last > most ||
        task->words < 1 || task->words > 256 || widest < 0 || widest > 64 * task->words) {
        PyErr_SetString(PyExc_ValueError, "a size is out of range");
        return -1;
    }
    if (!level_known(&task->level)) return -1;
    if (allow != Py_None && task->first % 8) {
        PyErr_SetString(PyExc_ValueError, "with a bitmap the first row is a multiple of 8");
        return -1;
    }
    if (take(queries, &b->held[b->got], (Py_ssize_t)(task->asked * task->words * 8), 0, "queries") < 0) return -1;
    task->queries = b->held[b->got++].buf;
    if (take(codes, &b->held[b->got], (Py_ssize_t)(task->last * task->words * 8), 0, "codes") < 0) return -1;
    task->codes = b->held[b->got++].buf;
    if (allow != Py_None) {
        if (take(allow, &b->held[b->got], (Py_ssize_t)((task->last + 7) / 8), 0, "allow") < 0) return -1;
        task->allow = b->held[b->got++].buf;
    }
    if (stop != Py_None) {
        if (take(stop, &b->held[b->got], 1, 0, "stop") < 0) return -1;
        task->stop = b->held[b->got++].buf;
    }
    return 0;
}

static const char nearest_doc[] =
    "nearest(queries, asked, codes, first, last, words, k, widest, allow, stop, level, rows, distances) -> stopped\n\n"
    "Find the k nearest rows in [first, last) of each query; buffers of uint64, a bitmap or None, a byte that stops, and the\n"
    "level (-1 for the best). Fills rows (asked, k) int64 and distances (asked, k) int32; the GIL is free meanwhile, and the main\n"
    "thread looks for signals now and then.";

static PyObject *nearest(PyObject *self, PyObject *args) {
    PyObject *queries, *codes, *allow, *stop, *rows, *distances;
    long long asked, first, last, k;
    int words, widest, level, stopped = 0;
    if (!PyArg_ParseTuple(args, "OLOLLiLiOOiOO", &queries, &asked, &codes, &first, &last, &words, &k, &widest, &allow, &stop,
                          &level, &rows, &distances))
        return NULL;
    if (k < 1 || k > 1LL << 40) {
        PyErr_SetString(PyExc_ValueError, "k is out of range");
        return NULL;
    }
    walk_t task = {NULL, NULL, asked, first, last, words, level, NULL, NULL, NULL};
    buffers_t b = {.got = 0};
    answers_t found = {NULL, NULL, 0};
    PyObject *result = NULL;
    if (open_task(&task, &b, queries, codes, allow, stop, widest) < 0) goto done;
    if (take(rows, &b.held[b.got], (Py_ssize_t)(asked * k * 8), 1, "rows") < 0) goto done;
    int64_t *to_rows = b.held[b.got++].buf;
    if (take(distances, &b.held[b.got], (Py_ssize_t)(asked * k * 4), 1, "distances") < 0) goto done;
    int32_t *to_distances = b.held[b.got++].buf;
    if (run(&task, k, widest, -1, &found, &stopped) < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    for (int64_t q = 0; q < asked; q++) write_out(found.answers + q, k, to_rows + q * k, to_distances + q * k);
    Py_END_ALLOW_THREADS
    result = PyBool_FromLong(stopped);
done:
    drop(&found);
    release(&b);
    return result;
}

static const char within_doc[] =
    "within(queries, asked, codes, first, last, words, radius, widest, allow, stop, level) -> list or None\n\n"
    "Find all rows in [first, last) within a distance of each query: a pair of bytearrays a query, rows as int64 and distances as\n"
    "int32, nearest first. None when it was stopped. See `nearest` for the rest.";

static PyObject *pair_of(answer_t *a) {
    PyObject *rows = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(a->held * 8));
    PyObject *distances = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(a->held * 4));
    PyObject *pair = rows && distances ? PyTuple_Pack(2, rows, distances) : NULL;
    if (pair && a->held) write_out(a, a->held, (int64_t *)PyByteArray_AsString(rows), (int32_t *)PyByteArray_AsString(distances));
    Py_XDECREF(rows);
    Py_XDECREF(distances);
    return pair;
}

static PyObject *within(PyObject *self, PyObject *args) {
    PyObject *queries, *codes, *allow, *stop;
    long long asked, first, last;
    int words, radius, widest, level, stopped = 0;
    if (!PyArg_ParseTuple(args, "OLOLLiiiOOi", &queries, &asked, &codes, &first, &last, &words, &radius, &widest, &allow, &stop,
                          &level))
        return NULL;
    if (radius < 0 || radius > widest) {
        PyErr_SetString(PyExc_ValueError, "the radius is out of range");
        return NULL;
    }
    walk_t task = {NULL, NULL, asked, first, last, words, level, NULL, NULL, NULL};
    buffers_t b = {.got = 0};
    answers_t found = {NULL, NULL, 0};
    PyObject *result = NULL;
    if (open_task(&task, &b, queries, codes, allow, stop, widest) < 0) goto done;
    if (run(&task, 0, widest, radius, &found, &stopped) < 0) goto done;
    if (stopped) {
        result = Py_None;
        Py_INCREF(result);
        goto done;
    }
    result = PyList_New((Py_ssize_t)asked);
    for (int64_t q = 0; result && q < asked; q++) {
        PyObject *pair = pair_of(found.answers + q);
        if (!pair || PyList_SetItem(result, (Py_ssize_t)q, pair) < 0) Py_CLEAR(result);
    }
done:
    drop(&found);
    release(&b);
    return result;
}

/* ---- the bound ---- */

#ifdef X86
V512 static uint64_t read_avx512(const uint64_t *at, int64_t words) {
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int64_t i = 0; i + 32 <= words; i += 32)
        for (int j = 0; j < 4; j++) sum[j] = _mm512_xor_si512(sum[j], _mm512_loadu_si512(at + i + 8 * j));
    return (uint64_t)_mm512_reduce_add_epi64(
        _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3])));
}
#endif

static uint64_t read_plain(const uint64_t *at, int64_t words) {
    uint64_t sum[8] = {0};
    for (int64_t i = 0; i + 8 <= words; i += 8)
        for (int j = 0; j < 8; j++) sum[j] ^= at[i + j];
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

static const char read_doc[] =
    "read(codes, first, last) -> int\n\nRead the 64-bit words in [first, last) and do nothing with them: no search over them can "
    "take\nless time. The GIL is free meanwhile.";

static PyObject *read_words(PyObject *self, PyObject *args) {
    PyObject *codes;
    long long first, last;
    if (!PyArg_ParseTuple(args, "OLL", &codes, &first, &last)) return NULL;
    if (first < 0 || last < first || last > 1LL << 40) {
        PyErr_SetString(PyExc_ValueError, "a size is out of range");
        return NULL;
    }
    Py_buffer held;
    if (take(codes, &held, (Py_ssize_t)(last * 8), 0, "codes") < 0) return NULL;
    const uint64_t *at = (const uint64_t *)held.buf + first;
    uint64_t sum;
    Py_BEGIN_ALLOW_THREADS
#ifdef X86
    sum = best_level() == AVX512 ? read_avx512(at, last - first) : read_plain(at, last - first);
#else
    sum = read_plain(at, last - first);
#endif
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&held);
    return PyLong_FromUnsignedLongLong(sum);
}

static PyObject *level_of(PyObject *self, PyObject *none) { return PyLong_FromLong(best_level()); }

static PyMethodDef methods[] = {
    {"nearest", nearest, METH_VARARGS, nearest_doc},
    {"within", within, METH_VARARGS, within_doc},
    {"read", read_words, METH_VARARGS, read_doc},
    {"table", multi_table, METH_VARARGS, table_doc},
    {"probe", multi_probe, METH_VARARGS, probe_doc},
    {"dots", dots, METH_VARARGS, dots_doc},
    {"level", level_of, METH_NOARGS, "level() -> int\n\n0 plain C, 1 AVX2, 2 AVX-512 with VPOPCNTDQ, 3 NEON."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_hamming", "Exact Hamming search in C; use crossbit.codes.hamming.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__hamming(void) { return PyModule_Create(&module); }
