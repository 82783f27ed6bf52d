/* BLAKE2b (RFC 7693) of lines of text, from which ids are derived; see core/identity.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 128
#define MOST_BYTES 64 /* of a digest */

/* Of the digest of a message: bytes of the id of the handled message, of the tail and of the sid of
 * its reply; and the digits of the tail. As in core/identity.py. */
enum { HANDLED = 10, TAIL = 8, SID = 16, TAIL_DIGITS = 13, OF_MESSAGE = HANDLED + TAIL + SID };

typedef struct {
    uint64_t state[8], taken;
    uint8_t block[BLOCK];
    size_t in_block;
} Hash;

static const uint64_t INITIAL[8] = {
    UINT64_C(0x6A09E667F3BCC908), UINT64_C(0xBB67AE8584CAA73B), UINT64_C(0x3C6EF372FE94F82B),
    UINT64_C(0xA54FF53A5F1D36F1), UINT64_C(0x510E527FADE682D1), UINT64_C(0x9B05688C2B3E6C1F),
    UINT64_C(0x1F83D9ABFB41BD6B), UINT64_C(0x5BE0CD19137E2179),
};

static const uint8_t ORDER[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static inline uint64_t
turned(uint64_t word, int by)
{
    return word >> by | word << (64 - by);
}

static inline uint64_t
word_at(const uint8_t *at)
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--)
        word = word << 8 | at[i];
    return word;
}

static inline void
mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = turned(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = turned(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = turned(v[b] ^ v[c], 63);
}

static void
compress(Hash *hash, int is_last)
{
    uint64_t v[16], words[16];
    for (int i = 0; i < 16; i++)
        words[i] = word_at(hash->block + 8 * i);
    memcpy(v, hash->state, sizeof hash->state);
    memcpy(v + 8, INITIAL, sizeof INITIAL);
    v[12] ^= hash->taken; /* no text is of 2^64 bytes */
    if (is_last)
        v[14] = ~v[14];
    for (int round = 0; round < 12; round++) {
        const uint8_t *s = ORDER[round];
        mix(v, 0, 4, 8, 12, words[s[0]], words[s[1]]);
        mix(v, 1, 5, 9, 13, words[s[2]], words[s[3]]);
        mix(v, 2, 6, 10, 14, words[s[4]], words[s[5]]);
        mix(v, 3, 7, 11, 15, words[s[6]], words[s[7]]);
        mix(v, 0, 5, 10, 15, words[s[8]], words[s[9]]);
        mix(v, 1, 6, 11, 12, words[s[10]], words[s[11]]);
        mix(v, 2, 7, 8, 13, words[s[12]], words[s[13]]);
        mix(v, 3, 4, 9, 14, words[s[14]], words[s[15]]);
    }
    for (int i = 0; i < 8; i++)
        hash->state[i] ^= v[i] ^ v[i + 8];
}

static void
begin(Hash *hash, int size)
{
    memcpy(hash->state, INITIAL, sizeof INITIAL);
    hash->state[0] ^= UINT64_C(0x01010000) ^ (uint64_t)size;
    hash->taken = 0;
    hash->in_block = 0;
}

static void
take(Hash *hash, const char *at, size_t length)
{
    while (length) {
        if (hash->in_block == BLOCK) { /* only now is it sure not to be the last */
            hash->taken += BLOCK;
            compress(hash, 0);
            hash->in_block = 0;
        }
        size_t some = BLOCK - hash->in_block < length ? BLOCK - hash->in_block : length;
        memcpy(hash->block + hash->in_block, at, some);
        hash->in_block += some;
        at += some;
        length -= some;
    }
}

static void
end(Hash *hash, uint8_t *digest, int size)
{
    memset(hash->block + hash->in_block, 0, BLOCK - hash->in_block);
    hash->taken += hash->in_block;
    compress(hash, 1);
    for (int i = 0; i < size; i++)
        digest[i] = (uint8_t)(hash->state[i / 8] >> 8 * (i % 8));
}

/* Take a part as UTF-8, as a line behind those before; -1 with an exception. */
static int
take_part(Hash *hash, PyObject *part, int is_first)
{
    Py_ssize_t length;
    if (!PyUnicode_Check(part)) {
        PyErr_SetString(PyExc_TypeError, "a part of an id is a text");
        return -1;
    }
    const char *at = PyUnicode_AsUTF8AndSize(part, &length);
    if (at == NULL)
        return -1;
    if (!is_first)
        take(hash, "\n", 1);
    take(hash, at, (size_t)length);
    return 0;
}

static PyObject *
digest(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyTuple_Check(arguments[0]) || !PyLong_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "digest(parts, size)");
        return NULL;
    }
    long size = PyLong_AsLong(arguments[1]);
    if (size < 1 || size > MOST_BYTES) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a digest has 1 to 64 bytes");
        return NULL;
    }
    Hash hash;
    uint8_t found[MOST_BYTES];
    begin(&hash, (int)size);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments[0]); i++)
        if (take_part(&hash, PyTuple_GET_ITEM(arguments[0], i), i == 0))
            return NULL;
    end(&hash, found, (int)size);
    return PyBytes_FromStringAndSize((const char *)found, size);
}

static char *
put_hex(char *to, const uint8_t *from, int digits)
{
    for (int i = 0; i < digits; i++)
        *to++ = "0123456789abcdef"[i % 2 ? from[i / 2] & 15 : from[i / 2] >> 4];
    return to;
}

static PyObject *
ids_of_message(PyObject *module, PyObject *const *parts, Py_ssize_t count)
{
    Hash hash;
    uint8_t found[OF_MESSAGE];
    begin(&hash, OF_MESSAGE);
    take(&hash, "message", sizeof "message" - 1);
    for (Py_ssize_t i = 0; i < count; i++)
        if (take_part(&hash, parts[i], 0))
            return NULL;
    end(&hash, found, OF_MESSAGE);
    char tail[TAIL_DIGITS], sid[2 + 2 * SID] = "SM";
    put_hex(tail, found + HANDLED, TAIL_DIGITS);
    put_hex(sid + 2, found + HANDLED + TAIL, 2 * SID);
    return Py_BuildValue("(y#s#s#)", (char *)found, (Py_ssize_t)HANDLED, tail,
                         (Py_ssize_t)TAIL_DIGITS, sid, (Py_ssize_t)sizeof sid);
}

static PyMethodDef methods[] = {
    {"digest", (PyCFunction)(void (*)(void))digest, METH_FASTCALL,
     "digest(parts, size): the BLAKE2b digest of texts, each in a line of its own."},
    {"ids_of_message", (PyCFunction)(void (*)(void))ids_of_message, METH_FASTCALL,
     "ids_of_message(*parts): what core/identity.py derives from the digest of a message."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_digest", "Digests of which ids are parts.", 0, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__digest(void)
{
    return PyModuleDef_Init(&module_def);
}
