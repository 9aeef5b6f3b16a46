/* What the files of the extension share. */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
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

enum level { PLAIN = 0, AVX2 = 1, AVX512 = 2, NEON_LEVEL = 3 };

typedef struct {
    int64_t row;
    int32_t distance;
} found_t;

static inline uint64_t ones(uint64_t x) {
#if defined(__GNUC__) || defined(__clang__)
    return (uint64_t)__builtin_popcountll(x);
#else
    x -= (x >> 1) & 0x5555555555555555ULL;
    x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
    return (((x + (x >> 4)) & 0x0F0F0F0F0F0F0F0FULL) * 0x0101010101010101ULL) >> 56;
#endif
}

/* seen by the files of the extension, and by nobody else */
#if defined(__GNUC__) || defined(__clang__)
#define WITHIN __attribute__((visibility("hidden")))
#else
#define WITHIN
#endif

WITHIN int best_level(void);
WITHIN int take(PyObject *from, Py_buffer *into, Py_ssize_t bytes, int writable, const char *name);

/* _multi.c */
WITHIN extern const char table_doc[], probe_doc[];
WITHIN PyObject *multi_table(PyObject *self, PyObject *args);
WITHIN PyObject *multi_probe(PyObject *self, PyObject *args);

/* _dots.c */
WITHIN extern const char dots_doc[];
WITHIN PyObject *dots(PyObject *self, PyObject *args);
