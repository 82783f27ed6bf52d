/* Draws records out of a record batch that is not compressed, as tuples of a type that is given.
 *
 * Its bytes come from strangers: every read is checked against the end of the record. A record that
 * is unusual in any way ends the drawing in front of it, and aiokafka's reader goes on there; so
 * whatever is broken, or has many headers, is judged in one place only.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define HEADER 61 /* bytes of a batch before its records */
#define MOST_HEADERS 100 /* of a record that is usual */

enum { MORE, ALL, UNUSUAL }; /* what is left after a call of `draw` */

typedef struct {
    PyObject_HEAD
    Py_buffer batch;
    PyTypeObject *type; /* of the records: a subclass of tuple with eight fields */
    PyObject *topic, *partition, *type_of_time, *no_headers;
    const uint8_t *at, *end;
    int32_t left; /* records, by the batch's count */
    int64_t base, first; /* offset of the batch; first offset that is wanted */
    int64_t time, last_time; /* of the batch's first record; of the record drawn last */
    int has_own_times, has_begun; /* begun: a wanted record was drawn; none is dropped any more */
    PyObject *last_timestamp; /* `last_time` as an object, or NULL */
    long long headers; /* of the records drawn in the last call */
} Cursor;

static uint64_t
big_endian(const uint8_t *at, int bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

/* A number of up to ten bytes; 0 if it does not end before `end`, or is too long. */
static inline int
number(const uint8_t **at, const uint8_t *end, int64_t *found)
{
    uint64_t bits = 0;
    const uint8_t *here = *at;
    for (int shift = 0; shift < 63 && here < end; shift += 7) {
        uint8_t byte = *here++;
        bits |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *found = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            *at = here;
            return 1;
        }
    }
    return 0; /* a tenth byte would be legal, but no time or length needs it */
}

/* A length and so many bytes; `*bytes` is NULL where the length is -1. 0 if they do not fit. */
static inline int
piece(const uint8_t **at, const uint8_t *end, const uint8_t **bytes, Py_ssize_t *length)
{
    int64_t size;
    if (!number(at, end, &size) || size < -1 || size > end - *at)
        return 0;
    *bytes = size < 0 ? NULL : *at;
    *length = size < 0 ? 0 : (Py_ssize_t)size;
    *at += *length;
    return 1;
}

static inline PyObject *
bytes_or_none(const uint8_t *bytes, Py_ssize_t length)
{
    if (bytes == NULL)
        return Py_NewRef(Py_None);
    return PyBytes_FromStringAndSize((const char *)bytes, length);
}

/* The headers that follow; NULL with an exception, or without one where they are unusual. */
static PyObject *
headers_at(const uint8_t **at, const uint8_t *end, int64_t count)
{
    PyObject *found = PyTuple_New((Py_ssize_t)count);
    if (found == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        const uint8_t *name, *value;
        Py_ssize_t name_length, value_length;
        if (!piece(at, end, &name, &name_length) || name == NULL
            || !piece(at, end, &value, &value_length))
            goto unusual;
        PyObject *text = PyUnicode_DecodeUTF8((const char *)name, name_length, NULL);
        if (text == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
                goto failed;
            PyErr_Clear();
            goto unusual;
        }
        PyObject *said = bytes_or_none(value, value_length);
        PyObject *pair = said ? PyTuple_Pack(2, text, said) : NULL;
        Py_DECREF(text);
        Py_XDECREF(said);
        if (pair == NULL)
            goto failed;
        PyTuple_SET_ITEM(found, i, pair);
    }
    return found;
unusual:
failed:
    Py_DECREF(found);
    return NULL;
}

static PyObject *
timestamp_of(Cursor *self, int64_t time)
{
    if (self->last_timestamp == NULL || self->last_time != time) {
        PyObject *made = PyLong_FromLongLong(time);
        if (made == NULL)
            return NULL;
        Py_XSETREF(self->last_timestamp, made);
        self->last_time = time;
    }
    return Py_NewRef(self->last_timestamp);
}

typedef struct {
    int64_t time, offset, headers;
    const uint8_t *key, *value, *behind;
    Py_ssize_t key_length, value_length;
} Parts;

/* The parts of the record at `at`, its headers still to be read there; 0 if it is unusual. */
static inline int
parts_at(Cursor *self, const uint8_t **at, Parts *parts)
{
    int64_t length, attributes, later, further;
    if (!number(at, self->end, &length) || length < 0 || length > self->end - *at)
        return 0;
    const uint8_t *end = parts->behind = *at + length;
    if (!number(at, end, &attributes) || !number(at, end, &later) || !number(at, end, &further)
        || !piece(at, end, &parts->key, &parts->key_length)
        || !piece(at, end, &parts->value, &parts->value_length)
        || !number(at, end, &parts->headers))
        return 0;
    if (further < 0 || further > INT32_MAX || parts->headers < 0
        || parts->headers > MOST_HEADERS || (parts->headers == 0 && *at != end))
        return 0;
    if (__builtin_add_overflow(self->base, further, &parts->offset))
        return 0;
    parts->time = self->time;
    return !self->has_own_times || !__builtin_add_overflow(self->time, later, &parts->time);
}

/* A record of the parts, or NULL: with an exception, or without one where it is unusual. */
static PyObject *
record_of(Cursor *self, const uint8_t **at, const Parts *parts)
{
    PyObject *headers = parts->headers ? headers_at(at, parts->behind, parts->headers)
                                       : Py_NewRef(self->no_headers);
    if (headers == NULL)
        return NULL;
    if (*at != parts->behind) {
        Py_DECREF(headers);
        return NULL;
    }
    PyObject *record = self->type->tp_alloc(self->type, 8);
    if (record == NULL) {
        Py_DECREF(headers);
        return NULL;
    }
    PyObject *fields[] = {
        Py_NewRef(self->topic), Py_NewRef(self->partition),
        PyLong_FromLongLong(parts->offset), timestamp_of(self, parts->time),
        Py_NewRef(self->type_of_time), bytes_or_none(parts->key, parts->key_length),
        bytes_or_none(parts->value, parts->value_length), headers,
    };
    int is_whole = 1;
    for (int i = 0; i < 8; i++) {
        is_whole &= fields[i] != NULL;
        PyTuple_SET_ITEM(record, i, fields[i]);
    }
    if (!is_whole)
        Py_CLEAR(record);
    return record;
}

static PyObject *
cursor_draw(Cursor *self, PyObject *arguments)
{
    PyObject *into;
    Py_ssize_t most;
    long long most_headers;
    if (!PyArg_ParseTuple(arguments, "O!nL", &PyList_Type, &into, &most, &most_headers))
        return NULL;
    self->headers = 0;
    while (most > 0 && self->left > 0 && self->headers < most_headers) {
        const uint8_t *at = self->at;
        Parts parts;
        if (!parts_at(self, &at, &parts))
            return PyLong_FromLong(UNUSUAL);
        PyObject *record = record_of(self, &at, &parts);
        if (record == NULL)
            return PyErr_Occurred() ? NULL : PyLong_FromLong(UNUSUAL);
        self->has_begun |= parts.offset >= self->first;
        int failed = self->has_begun && PyList_Append(into, record);
        Py_DECREF(record);
        if (failed)
            return NULL;
        if (self->has_begun) {
            most--;
            self->headers += parts.headers;
        }
        self->at = parts.behind;
        self->left--;
    }
    if (self->left > 0)
        return PyLong_FromLong(MORE);
    return PyLong_FromLong(self->left == 0 && self->at == self->end ? ALL : UNUSUAL);
}

static PyObject *
cursor_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    PyObject *batch, *record_type, *topic, *partition;
    long long first;
    if (named != NULL && PyDict_GET_SIZE(named)) {
        PyErr_SetString(PyExc_TypeError, "Cursor takes no named arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "OO!OOL", &batch, &PyType_Type, &record_type, &topic,
                          &partition, &first))
        return NULL;
    PyTypeObject *made = (PyTypeObject *)record_type;
    if (!PyType_IsSubtype(made, &PyTuple_Type) || made->tp_itemsize != sizeof(PyObject *)) {
        PyErr_SetString(PyExc_TypeError, "records must be tuples");
        return NULL;
    }
    Cursor *self = (Cursor *)type->tp_alloc(type, 0); /* zeroed */
    if (self == NULL)
        return NULL;
    if (PyObject_GetBuffer(batch, &self->batch, PyBUF_SIMPLE))
        goto failed;
    if (self->batch.len < HEADER) {
        PyErr_SetString(PyExc_ValueError, "shorter than the header of a batch");
        goto failed;
    }
    const uint8_t *head = self->batch.buf;
    self->at = head + HEADER;
    self->end = head + self->batch.len;
    self->base = (int64_t)big_endian(head, 8);
    int of_append = head[22] >> 3 & 1;
    self->has_own_times = !of_append;
    self->time = (int64_t)big_endian(head + (of_append ? 35 : 27), 8);
    self->left = (int32_t)big_endian(head + 57, 4);
    self->first = first;
    self->type = (PyTypeObject *)Py_NewRef(record_type);
    self->topic = Py_NewRef(topic);
    self->partition = Py_NewRef(partition);
    self->type_of_time = PyLong_FromLong(of_append);
    self->no_headers = PyTuple_New(0);
    if (self->type_of_time == NULL || self->no_headers == NULL)
        goto failed;
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static void
cursor_dealloc(Cursor *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->batch.obj != NULL)
        PyBuffer_Release(&self->batch);
    Py_XDECREF((PyObject *)self->type);
    Py_XDECREF(self->topic);
    Py_XDECREF(self->partition);
    Py_XDECREF(self->type_of_time);
    Py_XDECREF(self->no_headers);
    Py_XDECREF(self->last_timestamp);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *
cursor_headers(Cursor *self, void *unused)
{
    return PyLong_FromLongLong(self->headers);
}

static PyMethodDef cursor_methods[] = {
    {"draw", (PyCFunction)cursor_draw, METH_VARARGS,
     "draw(into, most, most_headers): append records to a list; return MORE, ALL or UNUSUAL."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef cursor_getters[] = {
    {"headers", (getter)cursor_headers, NULL, "Headers of the records drawn in the last call.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot cursor_slots[] = {
    {Py_tp_new, cursor_new},
    {Py_tp_dealloc, cursor_dealloc},
    {Py_tp_methods, cursor_methods},
    {Py_tp_getset, cursor_getters},
    {Py_tp_doc, "Cursor(batch, type, topic, partition, first): draws the records of a batch."},
    {0, NULL},
};

static PyType_Spec cursor_spec = {
    "processor.kafka._draw.Cursor", sizeof(Cursor), 0, Py_TPFLAGS_DEFAULT, cursor_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&cursor_spec);
    if (type == NULL || PyModule_AddObjectRef(module, "Cursor", type)) {
        Py_XDECREF(type);
        return -1;
    }
    Py_DECREF(type);
    return PyModule_AddIntConstant(module, "MORE", MORE)
        || PyModule_AddIntConstant(module, "ALL", ALL)
        || PyModule_AddIntConstant(module, "UNUSUAL", UNUSUAL) ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_draw", "Draws records out of record batches.", 0, NULL, module_slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__draw(void)
{
    return PyModuleDef_Init(&module_def);
}
