/* Writes records as they lie in a batch: one by one, or copies of records that were fetched.
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

#define LONGEST_NUMBER 10
#define MOST_DIGITS 20
#define MOST_ROOM (1 << 30) /* bytes of a batch, so that no sum below overflows */

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

/* A number of headers, and the first of them.
 *
 * They were measured, and nothing has run since that could change them.
 */
static uint8_t *
put_headers(uint8_t *at, PyObject *headers, Py_ssize_t count)
{
    at = put_number(at, count);
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
        put_headers(put_piece(put_piece(at, key), value), headers, PyList_GET_SIZE(headers));
    return made;
}

/* A part of a form: bytes, or the number of a text; NULL with an exception if it is neither. */
static PyObject *
part_of(PyObject *part, PyObject *texts)
{
    if (PyBytes_Check(part))
        return part;
    if (PyLong_Check(part)) {
        Py_ssize_t number = PyLong_AsSsize_t(part);
        if (number >= 0 && number < PyTuple_GET_SIZE(texts)
            && PyBytes_Check(PyTuple_GET_ITEM(texts, number)))
            return PyTuple_GET_ITEM(texts, number);
    }
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "not a part of a form");
    return NULL;
}

/* Bytes of filled parts; -1 with an exception. */
static Py_ssize_t
length_of_parts(PyObject *parts, PyObject *texts)
{
    Py_ssize_t length = 0;
    if (!PyTuple_Check(parts)) {
        PyErr_SetString(PyExc_TypeError, "the parts of a form are a tuple");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts) && length >= 0; i++) {
        PyObject *part = part_of(PyTuple_GET_ITEM(parts, i), texts);
        length = part == NULL ? -1 : sum_of(length, PyBytes_GET_SIZE(part));
    }
    return length;
}

/* The parts were measured, and nothing has run since that could change them. */
static uint8_t *
put_parts(uint8_t *at, PyObject *parts, PyObject *texts)
{
    at = put_number(at, length_of_parts(parts, texts));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        PyObject *part = part_of(PyTuple_GET_ITEM(parts, i), texts);
        memcpy(at, PyBytes_AS_STRING(part), (size_t)PyBytes_GET_SIZE(part));
        at += PyBytes_GET_SIZE(part);
    }
    return at;
}

/* Name and parts of a header of a form; 0 with an exception if it is none. */
static int
form_header_at(PyObject *form, Py_ssize_t index, const char **name, Py_ssize_t *length,
               PyObject **parts)
{
    PyObject *header = PyTuple_GET_ITEM(form, index);
    if (PyTuple_Check(header) && PyTuple_GET_SIZE(header) == 2
        && PyUnicode_Check(PyTuple_GET_ITEM(header, 0))) {
        *parts = PyTuple_GET_ITEM(header, 1);
        return (*name = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(header, 0), length)) != NULL;
    }
    PyErr_SetString(PyExc_TypeError, "not a header of a form");
    return 0;
}

/* Bytes of headers, of those of a form behind them, and of their number; -1 with an exception. */
static Py_ssize_t
size_of_all_headers(PyObject *headers, PyObject *form, PyObject *texts)
{
    Py_ssize_t size = size_of_headers(headers), length, more;
    size = sum_of(size, LONGEST_NUMBER); /* their number may take more bytes */
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(form) && size >= 0; i++) {
        const char *name;
        PyObject *parts;
        if (!form_header_at(form, i, &name, &length, &parts)
            || (more = length_of_parts(parts, texts)) < 0)
            return -1;
        size = sum_of(sum_of(size, size_of(length) + size_of(more)), sum_of(length, more));
    }
    if (size < 0)
        return -1;
    Py_ssize_t count = PyList_GET_SIZE(headers);
    return size - LONGEST_NUMBER - size_of(count) + size_of(count + PyTuple_GET_SIZE(form));
}

static PyObject *
filled(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 6 || !is_piece(arguments[1]) || !PyList_Check(arguments[2])
        || !PyTuple_Check(arguments[4]) || !PyTuple_Check(arguments[5])) {
        PyErr_SetString(PyExc_TypeError, "filled(index, key, headers, value, more, texts)");
        return NULL;
    }
    PyObject *key = arguments[1], *headers = arguments[2], *value = arguments[3];
    PyObject *form = arguments[4], *texts = arguments[5];
    Py_ssize_t index = PyLong_AsSsize_t(arguments[0]);
    if (index == -1 && PyErr_Occurred())
        return NULL;
    Py_ssize_t length = length_of_parts(value, texts);
    Py_ssize_t more = length < 0 ? -1 : size_of_all_headers(headers, form, texts);
    more = sum_of(sum_of(more, size_of_piece(key)), sum_of(length, size_of(length)));
    uint8_t *at;
    PyObject *made = more < 0 ? NULL : begun(index, more, &at);
    if (made == NULL)
        return NULL;
    at = put_parts(put_piece(at, key), value, texts);
    at = put_headers(at, headers, PyList_GET_SIZE(headers) + PyTuple_GET_SIZE(form));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(form); i++) {
        const char *name;
        PyObject *parts;
        form_header_at(form, i, &name, &length, &parts);
        at = put_number(at, length);
        memcpy(at, name, (size_t)length);
        at = put_parts(at + length, parts, texts);
    }
    return made;
}

static PyMethodDef methods[] = {
    {"filled", (PyCFunction)(void (*)(void))filled, METH_FASTCALL,
     "filled(index, key, headers, value, more, texts): a record whose value and further headers\n"
     "are parts of a form: bytes, and numbers of texts."},
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
