/* Exact Hamming search over packed codes: the k nearest, or all within a radius, of many queries in one pass over the codes.
 *
 * Codes are rows of 64-bit words. A block of codes small enough for the first cache is compared with all queries before the next
 * block is read, so that a batch reads memory once. Each query keeps a limit, the distance below which a code still enters its
 * answer; since rows ascend and the lower row wins a tie, a code at the limit never enters, and nearly all codes cost one
 * comparison. What enters is appended in order of rows and thinned out when its room is full, so nothing is ever sorted but the
 * final k.
 *
 * Distances are computed at the best level the processor has: AVX-512 with VPOPCNTDQ, AVX2, NEON, or plain C. crossbit.codes.hamming
 * holds the twin in NumPy that every level has to agree with, bit for bit.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define X86 1
#include <immintrin.h>
#endif
#if defined(__aarch64__) && defined(__ARM_NEON)
#define NEON 1
#include <arm_neon.h>
#endif

#define BLOCK 2048           /* codes that all queries see before the next are read; 16 KB at 64 bits */
#define ROOM 4096            /* candidates beyond k that a query keeps before they are thinned out */
#define PLANES_FROM 4        /* queries from which turning a block into planes of words pays */

enum level { PLAIN = 0, AVX2 = 1, AVX512 = 2, NEON_LEVEL = 3 };

/* ---- candidates of one query ---- */

typedef struct {
    int64_t row;
    int32_t distance;
} found_t;

typedef struct {
    found_t *kept;    /* in order of rows */
    int64_t *count;   /* how many of `kept` have each distance */
    int64_t held, room, k;
    int64_t below;    /* of `kept`, nearer than the limit */
    int32_t limit;    /* a code enters below it */
    int32_t widest;   /* largest distance there is */
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

static inline void enter(answer_t *a, int64_t row, int32_t distance) {
    if (a->held == a->room) thin_out(a);
    a->kept[a->held++] = (found_t){row, distance};
    a->count[distance]++;
    a->below++;
    while (a->below >= a->k && a->limit > 0) {
        a->limit--;
        a->below -= a->count[a->limit];
    }
}

static void write_out(answer_t *a, int64_t *rows, int32_t *distances) {
    /* counting sort: stable, so that ties stay in order of rows */
    int64_t total = 0;
    for (int32_t d = 0; d <= a->widest; d++) {
        int64_t here = a->count[d];
        a->count[d] = total;
        total += here;
    }
    for (int64_t i = 0; i < a->held; i++) {
        int64_t place = a->count[a->kept[i].distance]++;
        if (place < a->k) {
            rows[place] = a->kept[i].row;
            distances[place] = a->kept[i].distance;
        }
    }
    for (int64_t place = total; place < a->k; place++) {
        rows[place] = -1;
        distances[place] = a->widest + 1;
    }
}

/* ---- distances of a block ---- */

static inline uint64_t ones(uint64_t x) {
#if defined(__GNUC__) || defined(__clang__)
    return (uint64_t)__builtin_popcountll(x);
#else
    x -= (x >> 1) & 0x5555555555555555ULL;
    x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
    return (((x + (x >> 4)) & 0x0F0F0F0F0F0F0F0FULL) * 0x0101010101010101ULL) >> 56;
#endif
}

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

/* planes: word w of code i lies at planes[w * BLOCK + i] */
__attribute__((target("avx2"))) static void distances_avx2(
    const uint64_t *planes, int64_t n, int words, const uint64_t *q, int32_t *out) {
    for (int64_t i = 0; i < n; i += 4) {
        __m256i sum = _mm256_setzero_si256();
        for (int w = 0; w < words; w++) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(planes + (int64_t)w * BLOCK + i));
            sum = _mm256_add_epi64(sum, ones_avx2(_mm256_xor_si256(x, _mm256_set1_epi64x((long long)q[w]))));
        }
        __m256i narrow = _mm256_permutevar8x32_epi32(sum, _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0));
        _mm_storeu_si128((__m128i *)(out + i), _mm256_castsi256_si128(narrow));
    }
}

#define V512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq")))

/* even and odd lanes of two vectors added: eight sums of neighbours, in order */
V512 static inline __m512i add_neighbours(__m512i a, __m512i b) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    return _mm512_add_epi64(_mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b));
}

V512 static inline __m512i add_eight(const __m512i *v) {
    return add_neighbours(
        add_neighbours(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3])),
        add_neighbours(add_neighbours(v[4], v[5]), add_neighbours(v[6], v[7])));
}

/* distances of eight codes that lie one after the other */
V512 static inline __m512i eight_rows(const uint64_t *codes, int words, const uint64_t *q, const __m512i *turned) {
    if (words == 1)
        return _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(codes), turned[0]));
    if (words == 2) {
        __m512i a = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(codes), turned[0]));
        __m512i b = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(codes + 8), turned[0]));
        return add_neighbours(a, b);
    }
    if (words == 4) {
        __m512i v[4];
        for (int i = 0; i < 4; i++)
            v[i] = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(codes + 8 * i), turned[0]));
        return add_neighbours(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3]));
    }
    __m512i v[8];
    for (int i = 0; i < 8; i++) {
        const uint64_t *code = codes + (int64_t)i * words;
        __m512i sum = _mm512_setzero_si512();
        int w = 0;
        for (; w + 8 <= words; w += 8)
            sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(code + w), _mm512_loadu_si512(q + w))));
        if (w < words) {
            __mmask8 rest = (__mmask8)((1u << (words - w)) - 1);
            __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi64(rest, code + w), _mm512_maskz_loadu_epi64(rest, q + w));
            sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
        }
        v[i] = sum;
    }
    return add_eight(v);
}

V512 static inline __m512i eight_planes(const uint64_t *planes, int words, const uint64_t *q) {
    __m512i sum = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(planes), _mm512_set1_epi64((long long)q[0])));
    for (int w = 1; w < words; w++) {
        __m512i x = _mm512_loadu_si512(planes + (int64_t)w * BLOCK);
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(x, _mm512_set1_epi64((long long)q[w]))));
    }
    return sum;
}

V512 static inline void enter_hits(answer_t *a, __mmask8 hits, __m512i sum, int64_t row) {
    int64_t lanes[8];
    _mm512_storeu_si512(lanes, sum);
    while (hits) {
        int lane = __builtin_ctz(hits);
        hits = (__mmask8)(hits & (hits - 1));
        if (lanes[lane] < a->limit) enter(a, row + lane, (int32_t)lanes[lane]);  /* the limit may have sunk meanwhile */
    }
}

V512 static void scan_avx512(
    answer_t *a, const uint64_t *codes, int planes, int64_t n, int words, const uint64_t *q, int64_t row, const uint8_t *allow) {
    __m512i turned[1];
    if (words == 1) turned[0] = _mm512_set1_epi64((long long)q[0]);
    else if (words == 2) turned[0] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)q));
    else if (words == 4) turned[0] = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)q));
    else turned[0] = _mm512_setzero_si512();
    int64_t i = 0, step = planes ? 8 : 8 * (int64_t)words;
    if (words == 1 && !allow) {  /* the shortest codes: four vectors a turn */
        for (; i + 32 <= n; i += 32) {
            const uint64_t *at = codes + i;
            __m512i limit = _mm512_set1_epi64(a->limit), v[4];
            __mmask8 hits[4];
            for (int j = 0; j < 4; j++) {
                v[j] = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(at + 8 * j), turned[0]));
                hits[j] = _mm512_cmplt_epi64_mask(v[j], limit);
            }
            if (hits[0] | hits[1] | hits[2] | hits[3])
                for (int j = 0; j < 4; j++)
                    if (hits[j]) enter_hits(a, hits[j], v[j], row + i + 8 * j);
        }
    }
    for (; i + 8 <= n; i += 8) {
        __mmask8 may = allow ? allow[(row + i) >> 3] : 0xFF;
        if (!may) continue;
        const uint64_t *at = codes + i / 8 * step;
        __m512i sum = planes ? eight_planes(at, words, q) : eight_rows(at, words, q, turned);
        __mmask8 hits = _mm512_mask_cmplt_epi64_mask(may, sum, _mm512_set1_epi64(a->limit));
        if (hits) enter_hits(a, hits, sum, row + i);
    }
    for (; i < n; i++) {
        if (allow && !(allow[(row + i) >> 3] >> ((row + i) & 7) & 1)) continue;
        int64_t sum = 0;
        for (int w = 0; w < words; w++)
            sum += __builtin_popcountll((planes ? codes[(int64_t)w * BLOCK + i] : codes[i * words + w]) ^ q[w]);
        if (sum < a->limit) enter(a, row + i, (int32_t)sum);
    }
}
#endif

#ifdef NEON
static void distances_neon(const uint64_t *planes, int64_t n, int words, const uint64_t *q, int32_t *out) {
    for (int64_t i = 0; i < n; i += 2) {
        uint64x2_t sum = vdupq_n_u64(0);
        for (int w = 0; w < words; w++) {
            uint64x2_t x = veorq_u64(vld1q_u64(planes + (int64_t)w * BLOCK + i), vdupq_n_u64(q[w]));
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

static int best_level(void) {
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

/* give 1 when it was stopped */
static int walk(const walk_t *w, answer_t *answers, uint64_t *planes, int32_t *distances) {
    const int words = w->words, popcnt = has_popcnt();
    const int turn = w->level == AVX2 || w->level == NEON_LEVEL || (w->level == AVX512 && words > 1 && w->asked >= PLANES_FROM);
    for (int64_t row = w->first; row < w->last; row += BLOCK) {
        if (w->stop && *w->stop) return 1;
        int64_t n = w->last - row < BLOCK ? w->last - row : BLOCK;
        if (w->allow && !any_allowed(w->allow, row, n)) continue;
        const uint64_t *codes = w->codes + row * words;
        if (turn) {
            for (int64_t i = 0; i < n; i++)
                for (int v = 0; v < words; v++) planes[(int64_t)v * BLOCK + i] = codes[i * words + v];
            codes = planes;
        }
        for (int64_t q = 0; q < w->asked; q++) {
            const uint64_t *query = w->queries + q * words;
#ifdef X86
            if (w->level == AVX512) {
                scan_avx512(answers + q, codes, turn, n, words, query, row, w->allow);
                continue;
            }
            if (w->level == AVX2) distances_avx2(codes, n, words, query, distances);
            else if (popcnt) distances_popcnt(codes, n, words, query, distances);
            else distances_plain(codes, n, words, query, distances);
#elif defined(NEON)
            if (w->level == NEON_LEVEL) distances_neon(codes, n, words, query, distances);
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

static int take(PyObject *from, Py_buffer *into, Py_ssize_t bytes, int writable, const char *name) {
    if (PyObject_GetBuffer(from, into, writable ? PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS : PyBUF_C_CONTIGUOUS) < 0) return -1;
    if (into->len < bytes) {
        PyErr_Format(PyExc_ValueError, "%s holds %zd bytes, expected %zd", name, into->len, bytes);
        PyBuffer_Release(into);
        return -1;
    }
    return 0;
}

static const char nearest_doc[] =
    "nearest(queries, asked, codes, first, last, words, k, widest, allow, stop, level, rows, distances) -> stopped\n\n"
    "Find the k nearest rows in [first, last) of each query; buffers of uint64, a bitmap or None, a byte that stops, and the\n"
    "level (-1 for the best). Fills rows (asked, k) int64 and distances (asked, k) int32; the GIL is free meanwhile.";

static PyObject *nearest(PyObject *self, PyObject *args) {
    PyObject *objects[4], *allow, *stop;
    long long asked, first, last, k;
    int words, widest, level;
    if (!PyArg_ParseTuple(args, "OLOLLiLiOOiOO", &objects[0], &asked, &objects[1], &first, &last, &words, &k, &widest, &allow,
                          &stop, &level, &objects[2], &objects[3]))
        return NULL;
    const long long most = 1LL << 40;
    if (asked < 0 || first < 0 || last < first || last > most || words < 1 || words > 256 || k < 1 || k > most || asked > most ||
        widest < 0 || widest > 64 * words) {
        PyErr_SetString(PyExc_ValueError, "nearest: a size is out of range");
        return NULL;
    }
    int best = best_level();
    if (level < 0) level = best;
    if (level != PLAIN && !(level == best || (level == AVX2 && best == AVX512))) {
        PyErr_SetString(PyExc_ValueError, "nearest: this processor has no such level");
        return NULL;
    }
    if (allow != Py_None && first % 8) {
        PyErr_SetString(PyExc_ValueError, "nearest: with a bitmap the first row is a multiple of 8");
        return NULL;
    }
    Py_buffer held[6];
    int got = 0;
    PyObject *result = NULL;
    answer_t *answers = NULL;
    found_t *kept = NULL;
    int64_t *count = NULL;
    uint64_t *planes = NULL;
    int32_t *distances = NULL;
    const Py_ssize_t need[4] = {(Py_ssize_t)(asked * words * 8), (Py_ssize_t)(last * words * 8), (Py_ssize_t)(asked * k * 8),
                                (Py_ssize_t)(asked * k * 4)};
    static const char *const names[4] = {"queries", "codes", "rows", "distances"};
    for (; got < 4; got++)
        if (take(objects[got], &held[got], need[got], got >= 2, names[got]) < 0) goto done;
    const uint8_t *bitmap = NULL;
    const volatile uint8_t *flag = NULL;
    if (allow != Py_None) {
        if (take(allow, &held[got], (Py_ssize_t)((last + 7) / 8), 0, "allow") < 0) goto done;
        bitmap = held[got++].buf;
    }
    if (stop != Py_None) {
        if (take(stop, &held[got], 1, 0, "stop") < 0) goto done;
        flag = held[got++].buf;
    }
    const int64_t room = k + ROOM;
    answers = calloc((size_t)(asked ? asked : 1), sizeof(answer_t));
    kept = malloc((size_t)(asked ? asked : 1) * (size_t)room * sizeof(found_t));
    count = calloc((size_t)(asked ? asked : 1) * (size_t)(widest + 2), sizeof(int64_t));
    planes = malloc(sizeof(uint64_t) * BLOCK * (size_t)words + 64);
    distances = malloc(sizeof(int32_t) * (BLOCK + 16));
    if (!answers || !kept || !count || !planes || !distances) {
        PyErr_NoMemory();
        goto done;
    }
    for (int64_t q = 0; q < asked; q++)
        answers[q] = (answer_t){kept + q * room, count + q * (widest + 2), 0, room, k, 0, widest + 1, widest};
    walk_t task = {held[0].buf, held[1].buf, asked, first, last, words, level, bitmap, flag};
    int stopped = 0;
    Py_BEGIN_ALLOW_THREADS
    stopped = walk(&task, answers, planes, distances);
    for (int64_t q = 0; q < asked; q++)
        write_out(answers + q, (int64_t *)held[2].buf + q * k, (int32_t *)held[3].buf + q * k);
    Py_END_ALLOW_THREADS
    result = PyBool_FromLong(stopped);
done:
    free(answers);
    free(kept);
    free(count);
    free(planes);
    free(distances);
    while (got > 0) PyBuffer_Release(&held[--got]);
    return result;
}

static PyObject *level_of(PyObject *self, PyObject *none) { return PyLong_FromLong(best_level()); }

static PyMethodDef methods[] = {
    {"nearest", nearest, METH_VARARGS, nearest_doc},
    {"level", level_of, METH_NOARGS, "level() -> int\n\n0 plain C, 1 AVX2, 2 AVX-512 with VPOPCNTDQ, 3 NEON."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_hamming", "Exact Hamming search in C; use crossbit.codes.hamming.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__hamming(void) { return PyModule_Create(&module); }
