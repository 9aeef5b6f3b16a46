/* Dot products of one query with a few rows of many, read where they lie: int8, float16 or float32, in memory or in a mapped file.
 *
 * Products are added up in double precision, each row in the same order wherever it stands, so that equal rows have equal scores
 * and the rounded result is that of NumPy. The rows of a short list lie far apart: the next ones are fetched meanwhile.
 */
#include "_hamming.h"

#define AHEAD 8 /* rows fetched before they are needed */

enum kind { INT8 = 0, FLOAT16 = 1, FLOAT32 = 2 };
static const int64_t BYTES[3] = {1, 2, 4};

static float half_of(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    if (exponent == 31) bits = sign | 0x7F800000 | fraction << 13;
    else if (exponent) bits = sign | (exponent + 112) << 23 | fraction << 13;
    else { /* zero, or too small for an exponent of its own */
        float value = (float)fraction / 16777216.0f;
        memcpy(&bits, &value, 4);
        bits |= sign;
    }
    float found;
    memcpy(&found, &bits, 4);
    return found;
}

static double dot_plain(const void *row, const double *q, int64_t n, int kind) {
    double sum[4] = {0, 0, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        double x;
        if (kind == INT8) x = ((const int8_t *)row)[i];
        else if (kind == FLOAT16) x = half_of(((const uint16_t *)row)[i]);
        else x = ((const float *)row)[i];
        sum[i & 3] += x * q[i];
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#ifdef X86
#define V512 __attribute__((target("avx512f,avx512bw,avx512vl,f16c")))

V512 static inline __attribute__((always_inline)) __m512d eight(const void *row, int64_t i, __mmask8 some, const int kind) {
    if (kind == INT8) return _mm512_cvtepi32_pd(_mm256_cvtepi8_epi32(_mm_maskz_loadu_epi8(some, (const int8_t *)row + i)));
    if (kind == FLOAT16)
        return _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_maskz_loadu_epi16(some, (const uint16_t *)row + i)));
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(some, (const float *)row + i));
}

V512 static inline __attribute__((always_inline)) double dot_kind(const void *row, const double *q, int64_t n, const int kind) {
    __m512d sum[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 2; j++)
            sum[j] = _mm512_fmadd_pd(eight(row, i + 8 * j, 0xFF, kind), _mm512_loadu_pd(q + i + 8 * j), sum[j]);
    for (; i < n; i += 8) {
        const __mmask8 some = n - i >= 8 ? 0xFF : (__mmask8)((1u << (n - i)) - 1);
        sum[0] = _mm512_fmadd_pd(eight(row, i, some, kind), _mm512_maskz_loadu_pd(some, q + i), sum[0]);
    }
    return _mm512_reduce_add_pd(_mm512_add_pd(sum[0], sum[1]));
}

V512 static double dot_avx512(const void *row, const double *q, int64_t n, int kind) {
    if (kind == INT8) return dot_kind(row, q, n, INT8);
    if (kind == FLOAT16) return dot_kind(row, q, n, FLOAT16);
    return dot_kind(row, q, n, FLOAT32);
}
#endif

const char dots_doc[] =
    "dots(rows, count, width, kind, places, query, scores, plain=0)\n\n"
    "Write the dot product of a query (width) float64 with each of the rows at `places` int64 to `scores` float64. `rows` holds\n"
    "`count` rows of `width` numbers: int8 (kind 0), float16 (1) or float32 (2).\n"
    "`plain` keeps to plain C.";

PyObject *dots(PyObject *self, PyObject *args) {
    PyObject *from[4];
    long long count, width;
    int kind, plain = 0;
    if (!PyArg_ParseTuple(args, "OLLiOOO|i", &from[0], &count, &width, &kind, &from[1], &from[2], &from[3], &plain)) return NULL;
    if (count < 0 || count > 1LL << 40 || width < 1 || width > 1LL << 20 || kind < INT8 || kind > FLOAT32) {
        PyErr_SetString(PyExc_ValueError, "a size is out of range");
        return NULL;
    }
    Py_buffer held[4];
    int got = 0;
    PyObject *result = NULL;
    if (take(from[0], &held[got], (Py_ssize_t)(count * width * BYTES[kind]), 0, "rows") < 0) goto done;
    got++;
    if (take(from[1], &held[got], 0, 0, "places") < 0) goto done;
    const int64_t asked = (int64_t)(held[got++].len / 8);
    if (take(from[2], &held[got], (Py_ssize_t)(width * 8), 0, "query") < 0) goto done;
    got++;
    if (take(from[3], &held[got], (Py_ssize_t)(asked * 8), 1, "scores") < 0) goto done;
    got++;
    const char *rows = held[0].buf;
    const int64_t *places = held[1].buf, bytes = width * BYTES[kind];
    const double *query = held[2].buf;
    double *scores = held[3].buf;
    for (int64_t i = 0; i < asked; i++)
        if (places[i] < 0 || places[i] >= count) {
            PyErr_SetString(PyExc_ValueError, "a place is out of range");
            goto done;
        }
    Py_BEGIN_ALLOW_THREADS
#ifdef X86
    const int wide = !plain && best_level() == AVX512;
#endif
    for (int64_t i = 0; i < asked; i++) {
#if defined(__GNUC__) || defined(__clang__)
        if (i + AHEAD < asked)
            for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(rows + places[i + AHEAD] * bytes + byte);
#endif
        const char *row = rows + places[i] * bytes;
#ifdef X86
        if (wide) {
            scores[i] = dot_avx512(row, query, width, kind);
            continue;
        }
#endif
        scores[i] = dot_plain(row, query, width, kind);
    }
    Py_END_ALLOW_THREADS
    result = Py_None;
    Py_INCREF(result);
done:
    while (got > 0) PyBuffer_Release(&held[--got]);
    return result;
}
