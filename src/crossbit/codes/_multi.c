/* Multi-index hashing (Norouzi, Punjani, Fleet 2012): exact search over codes without looking at all of them.
 *
 * A code is cut into m substrings of neighbouring bits, and a table for each lists the rows by the value of their substring. Two
 * codes that differ in d bits agree in one substring up to floor(d / m) bits, so rows are looked up table by table with a growing
 * number of flipped bits; once tables 0..j have been asked with r flips and the others with r - 1, every code within m * r + j bits
 * has been seen, and the search ends as soon as the k-th best lies within. What would cost more than a scan is given up.
 *
 * Every lookup is a miss of the cache three times over (table, member, code), so lookups go in groups, and what the next step reads
 * is fetched while the others of the group take theirs.
 */
#include "_hamming.h"

#define GROUP 64         /* buckets looked up together */
#define CANDIDATES 512   /* rows compared together */
#define MOST_TABLES 64
#define MOST_BITS 28     /* of a substring: tables of a gigabyte */

#if defined(__GNUC__) || defined(__clang__)
#define FETCH(at) __builtin_prefetch(at)
#else
#define FETCH(at) ((void)0)
#endif

/* ---- tables ---- */

/* `bits` bits from bit `from` on, the lowest first, of a row of words */
static inline uint64_t cut(const uint64_t *code, int from, int bits) {
    int word = from >> 6, shift = from & 63;
    uint64_t value = code[word] >> shift;
    if (shift + bits > 64) value |= code[word + 1] << (64 - shift);
    return value & ((1ULL << bits) - 1);
}

const char table_doc[] =
    "table(codes, rows, words, first, bits, starts, members)\n\n"
    "Sort rows by the value of some of their bits: `members` (rows) uint32 lists them by value, each value's ascending, and `starts`\n"
    "(2 ** bits + 1) uint32 says where a value begins.";

PyObject *multi_table(PyObject *self, PyObject *args) {
    PyObject *from[3];
    long long rows;
    int words, first, bits;
    if (!PyArg_ParseTuple(args, "OLiiiOO", &from[0], &rows, &words, &first, &bits, &from[1], &from[2])) return NULL;
    if (rows < 0 || rows >= 1LL << 32 || words < 1 || words > 256 || bits < 1 || bits > MOST_BITS || first < 0 ||
        first + bits > 64 * words) {
        PyErr_SetString(PyExc_ValueError, "a size is out of range");
        return NULL;
    }
    const int64_t values = 1LL << bits;
    Py_buffer held[3];
    int got = 0;
    PyObject *result = NULL;
    const Py_ssize_t need[3] = {(Py_ssize_t)(rows * words * 8), (Py_ssize_t)((values + 1) * 4), (Py_ssize_t)(rows * 4)};
    static const char *const names[3] = {"codes", "starts", "members"};
    for (; got < 3; got++)
        if (take(from[got], &held[got], need[got], got > 0, names[got]) < 0) goto done;
    const uint64_t *codes = held[0].buf;
    uint32_t *starts = held[1].buf, *members = held[2].buf;
    Py_BEGIN_ALLOW_THREADS
    memset(starts, 0, (size_t)(values + 1) * 4);
    for (int64_t i = 0; i < rows; i++) starts[cut(codes + i * words, first, bits) + 1]++;
    for (int64_t v = 0; v < values; v++) starts[v + 1] += starts[v];
    /* each start moves to its end while its rows are put down, and all are shifted back afterwards */
    for (int64_t i = 0; i < rows; i++) members[starts[cut(codes + i * words, first, bits)]++] = (uint32_t)i;
    for (int64_t v = values; v > 0; v--) starts[v] = starts[v - 1];
    starts[0] = 0;
    Py_END_ALLOW_THREADS
    result = Py_None;
    Py_INCREF(result);
done:
    while (got > 0) PyBuffer_Release(&held[--got]);
    return result;
}

/* ---- search ---- */

typedef struct {
    const uint64_t *codes;
    int64_t rows;
    int words, tables, widest;
    const int32_t *edges;                 /* table j holds bits edges[j] to edges[j + 1] */
    const uint32_t *starts[MOST_TABLES], *members[MOST_TABLES];
    const uint8_t *allow;
    const volatile uint8_t *stop;
    int64_t budget;                       /* buckets and rows that a query may look at */
} multi_t;

typedef struct {
    found_t *kept;
    int64_t held, room, k;
    int64_t *count;      /* of `kept`, by distance */
    int64_t inside;      /* of `kept`, at the limit or nearer */
    int32_t limit;       /* a code enters at it or below */
    int32_t within;      /* the limit is a radius and stands */
    int32_t failed;
} nearest_t;

static void put(nearest_t *a, int64_t row, int32_t distance) {
    if (a->held == a->room) {
        int64_t write = 0;
        for (int64_t i = 0; i < a->held; i++) /* what the limit has left outside */
            if (a->kept[i].distance <= a->limit) a->kept[write++] = a->kept[i];
        a->held = write;
        if (2 * write > a->room || !a->room) {
            int64_t room = a->room ? 2 * a->room : 256;
            found_t *more = realloc(a->kept, (size_t)room * sizeof(found_t));
            if (!more) {
                a->failed = 1;
                return;
            }
            a->kept = more;
            a->room = room;
        }
    }
    a->kept[a->held++] = (found_t){row, distance};
    a->count[distance]++;
    a->inside++;
    if (a->within) return;
    while (a->limit > 0 && a->inside - a->count[a->limit] >= a->k) a->inside -= a->count[a->limit--];
}

/* whether a code was met before: in a table asked with fewer flips, or an earlier one asked with as many */
static int met(const multi_t *m, const uint64_t *code, const uint64_t *query, int table, int flips) {
    for (int i = 0; i < m->tables; i++) {
        int from = m->edges[i], bits = m->edges[i + 1] - from;
        int differ = (int)ones(cut(code, from, bits) ^ cut(query, from, bits));
        if (differ < flips || (differ == flips && i < table)) return 1;
    }
    return 0;
}

static void compare(const multi_t *m, nearest_t *a, const uint32_t *rows, int n, const uint64_t *query, int table, int flips) {
    for (int i = 0; i < n; i++) {
        const int64_t row = rows[i];
        const uint64_t *code = m->codes + row * m->words;
        int64_t distance = 0;
        for (int w = 0; w < m->words; w++) distance += (int64_t)ones(code[w] ^ query[w]);
        if (distance > a->limit || met(m, code, query, table, flips)) continue;
        put(a, row, (int32_t)distance);
    }
}

/* ask one table for all values with so many flipped bits; gives how many buckets and rows were looked at */
static int64_t ask(const multi_t *m, nearest_t *a, const uint64_t *query, int table, int flips) {
    const int bits = m->edges[table + 1] - m->edges[table];
    const uint64_t value = cut(query, m->edges[table], bits), end = 1ULL << bits;
    const uint32_t *starts = m->starts[table], *members = m->members[table];
    uint64_t flip = (1ULL << flips) - 1, buckets[GROUP];
    uint32_t rows[CANDIDATES];
    int64_t looked = 0;
    int waiting = 0, more = 1;
    while (more) {
        int n = 0;
        while (n < GROUP && more) {
            buckets[n] = value ^ flip;
            FETCH(starts + buckets[n++]);
            if (!flip) more = 0;
            else { /* the next number with as many ones */
                uint64_t low = flip & (0 - flip), ripple = flip + low;
                flip = ripple | (((flip ^ ripple) >> 2) / low);
                more = flip < end;
            }
        }
        for (int i = 0; i < n; i++) FETCH(members + starts[buckets[i]]);
        looked += n;
        for (int i = 0; i < n; i++) {
            for (uint32_t at = starts[buckets[i]], last = starts[buckets[i] + 1]; at < last; at++) {
                const uint32_t row = members[at];
                looked++;
                if (m->allow && !(m->allow[row >> 3] >> (row & 7) & 1)) continue;
                FETCH(m->codes + (int64_t)row * m->words);
                rows[waiting++] = row;
                if (waiting == CANDIDATES) {
                    compare(m, a, rows, waiting, query, table, flips);
                    waiting = 0;
                }
            }
        }
    }
    compare(m, a, rows, waiting, query, table, flips);
    return looked;
}

static double ways(int bits, int flips) {
    double found = 1;
    for (int i = 0; i < flips; i++) found = found * (bits - i) / (i + 1);
    return found;
}

/* give 1 when the answer is complete, 0 when it was given up */
static int search_one(const multi_t *m, nearest_t *a, const uint64_t *query, int64_t *looked) {
    for (int flips = 0;; flips++) {
        int possible = 0;
        for (int table = 0; table < m->tables; table++) {
            const int bits = m->edges[table + 1] - m->edges[table];
            if (flips <= bits) {
                possible = 1;
                const double next = ways(bits, flips) * (1 + (double)m->rows / (double)(1ULL << bits));
                if ((double)*looked + next > (double)m->budget || (m->stop && *m->stop)) return 0;
                *looked += ask(m, a, query, table, flips);
                if (a->failed) return 0;
            }
            const int64_t seen = (int64_t)m->tables * flips + table;
            if (a->limit <= seen && (a->within || a->inside >= a->k)) return 1;
        }
        if (!possible) return 1; /* every row was met */
    }
}

static int by_distance(const void *left, const void *right) {
    const found_t *a = left, *b = right;
    if (a->distance != b->distance) return a->distance < b->distance ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static PyObject *pair_of(const nearest_t *a, int64_t n) {
    PyObject *rows = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(n * 8));
    PyObject *distances = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(n * 4));
    PyObject *pair = rows && distances ? PyTuple_Pack(2, rows, distances) : NULL;
    if (pair) {
        int64_t *to_rows = (int64_t *)PyByteArray_AsString(rows);
        int32_t *to_distances = (int32_t *)PyByteArray_AsString(distances);
        for (int64_t i = 0; i < n; i++) {
            to_rows[i] = a->kept[i].row;
            to_distances[i] = a->kept[i].distance;
        }
    }
    Py_XDECREF(rows);
    Py_XDECREF(distances);
    return pair;
}

/* search for one query; gives a pair, None where it was given up, or NULL */
static PyObject *answer_to(const multi_t *m, const uint64_t *query, int64_t k, int radius, int64_t *looked) {
    nearest_t a = {NULL, 0, 0, k, NULL, 0, radius >= 0 ? radius : m->widest, radius >= 0, 0};
    PyObject *result = NULL;
    int whole = 0;
    a.count = calloc((size_t)m->widest + 1, sizeof(int64_t));
    if (!a.count) return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    whole = search_one(m, &a, query, looked);
    if (whole) {
        int64_t write = 0;
        for (int64_t i = 0; i < a.held; i++)
            if (a.kept[i].distance <= a.limit) a.kept[write++] = a.kept[i];
        a.held = write;
        if (a.held) qsort(a.kept, (size_t)a.held, sizeof(found_t), by_distance);
    }
    Py_END_ALLOW_THREADS
    if (a.failed) PyErr_NoMemory();
    else if (whole) result = pair_of(&a, a.within || a.held < k ? a.held : k);
    else {
        result = Py_None;
        Py_INCREF(result);
    }
    free(a.count);
    free(a.kept);
    return result;
}

const char probe_doc[] =
    "probe(queries, asked, codes, rows, words, widest, k, radius, edges, tables, allow, stop, budget) -> (list, looked)\n\n"
    "Search by multi-index hashing: the k nearest where `radius` is negative, else all within it. `edges` (m + 1) int32 says where\n"
    "the substrings lie, `tables` is a list of m pairs (starts, members) as `table` makes them. The list has a pair of bytearrays a\n"
    "query, rows as int64 and distances as int32, or None where the search was given up: it would have looked at more than\n"
    "`budget` buckets and rows, or was stopped. `looked` is how many were looked at.";

PyObject *multi_probe(PyObject *self, PyObject *args) {
    PyObject *queries, *codes, *edges, *tables, *allow, *stop, *result = NULL;
    long long asked, rows, k, budget;
    int words, widest, radius;
    if (!PyArg_ParseTuple(args, "OLOLiiLiOO!OOL", &queries, &asked, &codes, &rows, &words, &widest, &k, &radius, &edges, &PyList_Type,
                          &tables, &allow, &stop, &budget))
        return NULL;
    const Py_ssize_t m = PyList_Size(tables);
    if (asked < 0 || asked > 1LL << 40 || rows < 0 || rows >= 1LL << 32 || words < 1 || words > 256 || k < 1 || m < 1 ||
        m > MOST_TABLES || widest < 1 || widest > 64 * words || radius > widest) {
        PyErr_SetString(PyExc_ValueError, "a size is out of range");
        return NULL;
    }
    multi_t task = {.rows = rows, .words = words, .tables = (int)m, .widest = widest, .budget = budget};
    Py_buffer held[5 + 2 * MOST_TABLES];
    int got = 0;
    int64_t looked = 0;
    if (take(queries, &held[got], (Py_ssize_t)(asked * words * 8), 0, "queries") < 0) goto done;
    const uint64_t *asking = held[got++].buf;
    if (take(codes, &held[got], (Py_ssize_t)(rows * words * 8), 0, "codes") < 0) goto done;
    task.codes = held[got++].buf;
    if (take(edges, &held[got], (Py_ssize_t)((m + 1) * 4), 0, "edges") < 0) goto done;
    task.edges = held[got++].buf;
    for (Py_ssize_t j = 0; j < m; j++) {
        const int bits = task.edges[j + 1] - task.edges[j];
        if (task.edges[j] < 0 || bits < 1 || bits > MOST_BITS || task.edges[j + 1] > 64 * words) {
            PyErr_SetString(PyExc_ValueError, "a substring is out of range");
            goto done;
        }
        PyObject *pair = PyList_GetItem(tables, j);
        PyObject *starts = pair ? PySequence_GetItem(pair, 0) : NULL, *members = starts ? PySequence_GetItem(pair, 1) : NULL;
        int fine = members && take(starts, &held[got], (Py_ssize_t)(((1LL << bits) + 1) * 4), 0, "starts") == 0;
        if (fine) task.starts[j] = held[got++].buf;
        fine = fine && take(members, &held[got], (Py_ssize_t)(rows * 4), 0, "members") == 0;
        if (fine) task.members[j] = held[got++].buf;
        Py_XDECREF(starts);
        Py_XDECREF(members);
        if (!fine) goto done;
    }
    if (allow != Py_None) {
        if (take(allow, &held[got], (Py_ssize_t)((rows + 7) / 8), 0, "allow") < 0) goto done;
        task.allow = held[got++].buf;
    }
    if (stop != Py_None) {
        if (take(stop, &held[got], 1, 0, "stop") < 0) goto done;
        task.stop = held[got++].buf;
    }
    PyObject *list = PyList_New((Py_ssize_t)asked);
    for (int64_t q = 0; list && q < asked; q++) {
        int64_t here = 0;
        PyObject *answer = PyErr_CheckSignals() ? NULL : answer_to(&task, asking + q * words, k, radius, &here);
        looked += here;
        if (!answer || PyList_SetItem(list, (Py_ssize_t)q, answer) < 0) Py_CLEAR(list);
    }
    if (list) {
        PyObject *number = PyLong_FromLongLong(looked);
        result = number ? PyTuple_Pack(2, list, number) : NULL;
        Py_XDECREF(number);
        Py_DECREF(list);
    }
done:
    while (got > 0) PyBuffer_Release(&held[--got]);
    return result;
}
