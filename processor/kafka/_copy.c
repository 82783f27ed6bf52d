/* Writes records as they lie in a batch: one by one, from forms, or copies of fetched records.
 *
 * Each copy has the same headers; the last one's value is the offset of the record that is copied.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The fields of kafka.fetched.FetchedRecord that are read here. */
enum { OFFSET = 2, KEY = 5, VALUE = 6, RECORD_FIELDS = 8 };

/* And of wire.records.FormRecord. */
enum { LAID = 3, FORM_FIELDS = 4 };

#define LONGEST_NUMBER 10
#define MOST_DIGITS 20
#define MOST_ROOM (1 << 30) /* bytes of a batch, so that no sum below overflows */
#define MOST_PIECES 512     /* of a record of a form */

static inline int
size_of(int64_t number)
{
    uint64_t bits = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
    int size = 1;
    while (bits >>= 7)
        size++;
    return size;
}

static inline uint8_t *
put_number(uint8_t *at, int64_t number)
{
    uint64_t bits = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
    for (; bits >= 0x80; bits >>= 7)
        *at++ = (uint8_t)(bits | 0x80);
    *at++ = (uint8_t)bits;
    return at;
}

/* A length and the bytes; -1 and nothing for None. */
static inline uint8_t *
put_piece(uint8_t *at, PyObject *bytes)
{
    if (bytes == Py_None)
        return put_number(at, -1);
    Py_ssize_t length = PyBytes_GET_SIZE(bytes);
    at = put_number(at, length);
    memcpy(at, PyBytes_AS_STRING(bytes), (size_t)length);
    return at + length;
}

static inline Py_ssize_t
size_of_piece(PyObject *bytes)
{
    Py_ssize_t length = bytes == Py_None ? 0 : PyBytes_GET_SIZE(bytes);
    return size_of(bytes == Py_None ? -1 : length) + length;
}

/* Key and value of a record; 0 with an exception if it has none that can be copied. */
static int
parts_of(PyObject *record, PyObject **key, PyObject **value)
{
    if (PyTuple_Check(record) && PyTuple_GET_SIZE(record) == RECORD_FIELDS) {
        *key = PyTuple_GET_ITEM(record, KEY);
        *value = PyTuple_GET_ITEM(record, VALUE);
        if ((*key == Py_None || PyBytes_Check(*key)) && (*value == Py_None || PyBytes_Check(*value)))
            return 1;
    }
    PyErr_SetString(PyExc_TypeError, "not a fetched record");
    return 0;
}

/* The offset of a record in decimal digits, and how many; -1 with an exception. */
static Py_ssize_t
offset_of(PyObject *record, char *digits)
{
    long long offset = PyLong_AsLongLong(PyTuple_GET_ITEM(record, OFFSET));
    if (offset == -1 && PyErr_Occurred())
        return -1;
    return snprintf(digits, MOST_DIGITS + 1, "%lld", offset);
}

/* Bytes of a record behind its length; -1 with an exception. */
static Py_ssize_t
size_of_record(PyObject *record, Py_ssize_t index, Py_ssize_t headers, char *digits,
               Py_ssize_t *digit_count)
{
    PyObject *key, *value;
    if (!parts_of(record, &key, &value) || (*digit_count = offset_of(record, digits)) < 0)
        return -1;
    /* attributes, and no time behind the batch's: a byte each */
    Py_ssize_t size = 2 + size_of(index) + size_of_piece(key) + size_of_piece(value) + headers
                      + size_of(*digit_count) + *digit_count;
    if (size > MOST_ROOM) {
        PyErr_SetString(PyExc_OverflowError, "a record is too long");
        return -1;
    }
    return size;
}

/* The records from `*first` on that have room, one at least; moves `*first` behind them. */
static PyObject *
chunk_of(PyObject *records, Py_ssize_t *first, const Py_buffer *headers, Py_ssize_t room)
{
    Py_ssize_t count = PyTuple_GET_SIZE(records), end = *first, size = 0, digit_count;
    char digits[MOST_DIGITS + 1];
    for (; end < count; end++) {
        Py_ssize_t one = size_of_record(PyTuple_GET_ITEM(records, end), end - *first, headers->len,
                                        digits, &digit_count);
        if (one < 0)
            return NULL;
        if (size && size + one + LONGEST_NUMBER > room)
            break;
        size += size_of(one) + one;
    }
    PyObject *chunk = PyBytes_FromStringAndSize(NULL, size);
    if (chunk == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(chunk);
    for (Py_ssize_t i = *first; i < end; i++) {
        PyObject *record = PyTuple_GET_ITEM(records, i);
        at = put_number(at, size_of_record(record, i - *first, headers->len, digits,
                                           &digit_count));
        *at++ = 0;
        *at++ = 0;
        at = put_number(at, i - *first);
        at = put_piece(at, PyTuple_GET_ITEM(record, KEY));
        at = put_piece(at, PyTuple_GET_ITEM(record, VALUE));
        memcpy(at, headers->buf, (size_t)headers->len);
        at += headers->len;
        at = put_number(at, digit_count);
        memcpy(at, digits, (size_t)digit_count);
        at += digit_count;
    }
    PyObject *pair = Py_BuildValue("(Nn)", chunk, end - *first);
    *first = end;
    return pair;
}

static PyObject *
copies(PyObject *module, PyObject *arguments)
{
    PyObject *given;
    Py_buffer headers;
    Py_ssize_t room, first = 0;
    if (!PyArg_ParseTuple(arguments, "Oy*n", &given, &headers, &room))
        return NULL;
    PyObject *records = NULL, *chunks = NULL;
    if (room < 1 || room > MOST_ROOM || headers.len > MOST_ROOM) {
        PyErr_SetString(PyExc_ValueError, "no such room");
        goto done;
    }
    records = PySequence_Tuple(given); /* ours: nothing changes while it is copied */
    chunks = records == NULL ? NULL : PyList_New(0);
    while (chunks != NULL && first < PyTuple_GET_SIZE(records)) {
        PyObject *chunk = chunk_of(records, &first, &headers, room);
        if (chunk == NULL || PyList_Append(chunks, chunk))
            Py_CLEAR(chunks);
        Py_XDECREF(chunk);
    }
done:
    Py_XDECREF(records);
    PyBuffer_Release(&headers);
    return chunks;
}

static inline int
is_piece(PyObject *bytes)
{
    return bytes == Py_None || PyBytes_Check(bytes);
}

/* Name and value of a header; 0 with an exception if it is none. */
static int
header_at(PyObject *headers, Py_ssize_t index, const char **name, Py_ssize_t *length,
          PyObject **value)
{
    PyObject *header = PyList_GET_ITEM(headers, index);
    if (PyTuple_Check(header) && PyTuple_GET_SIZE(header) == 2
        && PyUnicode_Check(PyTuple_GET_ITEM(header, 0))) {
        *value = PyTuple_GET_ITEM(header, 1);
        if (is_piece(*value))
            return (*name = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(header, 0), length)) != NULL;
    }
    PyErr_SetString(PyExc_TypeError, "not a header");
    return 0;
}

/* Bytes of headers and of their number; -1 with an exception. */
static Py_ssize_t
size_of_headers(PyObject *headers)
{
    Py_ssize_t size = size_of(PyList_GET_SIZE(headers)), length;
    const char *name;
    PyObject *value;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        if (!header_at(headers, i, &name, &length, &value))
            return -1;
        size += size_of(length) + length + size_of_piece(value);
        if (size > MOST_ROOM) {
            PyErr_SetString(PyExc_OverflowError, "headers are too long");
            return -1;
        }
    }
    return size;
}

/* The headers behind their number; they were measured, and nothing has run since. */
static uint8_t *
put_headers(uint8_t *at, PyObject *headers)
{
    at = put_number(at, PyList_GET_SIZE(headers));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        const char *name;
        Py_ssize_t length;
        PyObject *value;
        header_at(headers, i, &name, &length, &value);
        at = put_number(at, length);
        memcpy(at, name, (size_t)length);
        at = put_piece(at + length, value);
    }
    return at;
}

/* A record behind its length, with the attributes and no time behind the batch's: a byte each.
 *
 * Key, value and headers take `more` bytes; `*at` is where they belong.
 */
static PyObject *
begun(Py_ssize_t index, Py_ssize_t more, uint8_t **at)
{
    Py_ssize_t size = 2 + size_of(index) + more;
    PyObject *made = PyBytes_FromStringAndSize(NULL, size_of(size) + size);
    if (made == NULL)
        return NULL;
    *at = put_number((uint8_t *)PyBytes_AS_STRING(made), size);
    *(*at)++ = 0;
    *(*at)++ = 0;
    *at = put_number(*at, index);
    return made;
}

/* A sum of sizes of which each is less than MOST_ROOM; -1 with an exception if it is not. */
static Py_ssize_t
sum_of(Py_ssize_t one, Py_ssize_t other)
{
    if (one < 0 || other < 0)
        return -1;
    if (one > MOST_ROOM || other > MOST_ROOM - one) {
        PyErr_SetString(PyExc_OverflowError, "a record is too long");
        return -1;
    }
    return one + other;
}

static PyObject *
record(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 4 || !is_piece(arguments[1]) || !is_piece(arguments[2])
        || !PyList_Check(arguments[3])) {
        PyErr_SetString(PyExc_TypeError, "record(index, key, value, headers)");
        return NULL;
    }
    PyObject *key = arguments[1], *value = arguments[2], *headers = arguments[3];
    Py_ssize_t index = PyLong_AsSsize_t(arguments[0]);
    if (index == -1 && PyErr_Occurred())
        return NULL;
    Py_ssize_t more = size_of_headers(headers);
    more = sum_of(sum_of(more, size_of_piece(key)), size_of_piece(value));
    uint8_t *at;
    PyObject *made = more < 0 ? NULL : begun(index, more, &at);
    if (made != NULL)
        put_headers(put_piece(put_piece(at, key), value), headers);
    return made;
}

/* Bytes of a record, or a number (`at` is NULL) in as many bytes as it takes. */
typedef struct {
    const char *at;
    Py_ssize_t length;
} Piece;

typedef struct {
    Piece all[MOST_PIECES];
    int count;
    Py_ssize_t size; /* of all, in bytes */
} Pieces;

/* Add a piece; -1 with an exception where it has no room. */
static inline int
add_piece(Pieces *pieces, const char *at, Py_ssize_t length)
{
    if (pieces->count >= MOST_PIECES) {
        PyErr_SetString(PyExc_OverflowError, "a form has too many parts");
        return -1;
    }
    pieces->all[pieces->count++] = (Piece){at, length};
    pieces->size = sum_of(pieces->size, at == NULL ? size_of(length) : length);
    return pieces->size < 0 ? -1 : 0;
}

/* The text that fills a hole; NULL with an exception if there is none. */
static inline PyObject *
text_of(PyObject *hole, PyObject *texts)
{
    if (PyLong_Check(hole)) {
        Py_ssize_t number = PyLong_AsSsize_t(hole);
        if (number >= 0 && number < PyTuple_GET_SIZE(texts)
            && PyBytes_Check(PyTuple_GET_ITEM(texts, number)))
            return PyTuple_GET_ITEM(texts, number);
    }
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "not a part of a form");
    return NULL;
}

/* Add what is laid out as copying.py says; -1 with an exception. */
static int
add_parts(Pieces *pieces, PyObject *parts, PyObject *texts, int may_nest)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        PyObject *part = PyTuple_GET_ITEM(parts, i);
        if (PyTuple_Check(part) && may_nest) {
            int own = pieces->count;
            Py_ssize_t before = pieces->size;
            if (add_piece(pieces, NULL, 0) || add_parts(pieces, part, texts, 0))
                return -1;
            Py_ssize_t length = pieces->size - before - size_of(0);
            pieces->all[own].length = length;
            pieces->size = sum_of(pieces->size, size_of(length) - size_of(0));
            if (pieces->size < 0)
                return -1;
            continue;
        }
        if (!PyBytes_Check(part))
            part = text_of(part, texts);
        if (part == NULL
            || add_piece(pieces, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part)))
            return -1;
    }
    return 0;
}

static uint8_t *
put_pieces(uint8_t *at, const Pieces *pieces)
{
    for (int i = 0; i < pieces->count; i++) {
        const Piece *one = &pieces->all[i];
        if (one->at == NULL) {
            at = put_number(at, one->length);
            continue;
        }
        memcpy(at, one->at, (size_t)one->length);
        at += one->length;
    }
    return at;
}

typedef struct {
    uint8_t *at;
    Py_ssize_t length, room;
} Written;

/* Room for so many further bytes, twice as much where it grows; -1 with an exception. */
static int
make_room(Written *written, Py_ssize_t more)
{
    Py_ssize_t needed = sum_of(written->length, more);
    if (needed <= written->room)
        return needed < 0 ? -1 : 0;
    uint8_t *at = PyMem_Realloc(written->at, 2 * (size_t)needed);
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    written->at = at;
    written->room = 2 * needed;
    return 0;
}

/* A form as it lies in a batch, and the texts that fill it; 0 with an exception if it is no row. */
static int
parts_of_row(PyObject *row, PyObject **laid, PyObject **texts)
{
    if (PyTuple_Check(row) && PyTuple_GET_SIZE(row) == 2) {
        PyObject *form = PyTuple_GET_ITEM(row, 0);
        *texts = PyTuple_GET_ITEM(row, 1);
        if (PyTuple_Check(form) && PyTuple_GET_SIZE(form) == FORM_FIELDS && PyTuple_Check(*texts)) {
            *laid = PyTuple_GET_ITEM(form, LAID);
            if (PyTuple_Check(*laid))
                return 1;
        }
    }
    PyErr_SetString(PyExc_TypeError, "not a form and its texts");
    return 0;
}

/* Write a row as the record of this index: 1, 0 where there is no room, -1 with an exception. */
static int
put_row(Written *written, PyObject *row, Py_ssize_t index, Py_ssize_t room)
{
    Pieces pieces;
    pieces.count = 0;
    pieces.size = 2 + size_of(index); /* attributes, and no time behind the batch's: a byte each */
    PyObject *laid, *texts;
    if (!parts_of_row(row, &laid, &texts) || add_parts(&pieces, laid, texts, 1))
        return -1;
    Py_ssize_t size = size_of(pieces.size) + pieces.size;
    if (index > 0 && size > room - written->length)
        return 0;
    if (make_room(written, size))
        return -1;
    uint8_t *at = put_number(written->at + written->length, pieces.size);
    *at++ = 0;
    *at++ = 0;
    put_pieces(put_number(at, index), &pieces);
    written->length += size;
    return 1;
}

static PyObject *
fill(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 4 || !PyList_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "fill(index, room, rows, first)");
        return NULL;
    }
    Py_ssize_t index = PyLong_AsSsize_t(arguments[0]), room = PyLong_AsSsize_t(arguments[1]);
    Py_ssize_t first = PyLong_AsSsize_t(arguments[3]);
    if (PyErr_Occurred())
        return NULL;
    if (index < 0 || index > MOST_ROOM || first < 0) {
        PyErr_SetString(PyExc_ValueError, "no such index");
        return NULL;
    }
    Written written = {NULL, 0, 0};
    Py_ssize_t row = first;
    int was_put = 1;
    while (row < PyList_GET_SIZE(arguments[2])
           && (was_put = put_row(&written, PyList_GET_ITEM(arguments[2], row),
                                 index + row - first, room)) > 0)
        row++;
    PyObject *made = was_put < 0 ? NULL
                                 : Py_BuildValue("(y#n)", written.at ? (char *)written.at : "",
                                                 written.length, row - first);
    PyMem_Free(written.at);
    return made;
}

static PyMethodDef methods[] = {
    {"fill", (PyCFunction)(void (*)(void))fill, METH_FASTCALL,
     "fill(index, room, rows, first): records of forms from the first row on, and how many."},
    {"record", (PyCFunction)(void (*)(void))record, METH_FASTCALL,
     "record(index, key, value, headers): a record of a batch, its length before it."},
    {"copies", copies, METH_VARARGS,
     "copies(records, headers, room): the records of batches, and how many each has."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_copy", "Writes the records of batches.", 0, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__copy(void)
{
    return PyModuleDef_Init(&module_def);
}
