/* The texts that fill a form, and the value that they make of its parts; see texts.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define FIRST_MS (-62135596800000) /* of year 1 and year 9999, as datetime knows them */
#define LAST_MS 253402300799999
#define TIME_BYTES 24 /* 2026-11-02T12:00:00.000Z */
#define DIGITS 20
#define STRINGS 4 /* of the arguments; then come the times, a number and the rest */
#define TIMES 3

static void
put_digits(char *to, int64_t number, int count)
{
    for (int i = count - 1; i >= 0; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
}

/* Whole quotient and the rest of at least 0. */
static int64_t
divided(int64_t number, int64_t by, int64_t *rest)
{
    int64_t quotient = number / by;
    *rest = number % by;
    if (*rest < 0) {
        *rest += by;
        quotient--;
    }
    return quotient;
}

/* Year, month and day of a day since 1970: eras of 400 years that begin in March of a year 0. */
static void
put_date(char *to, int64_t day)
{
    int64_t of_era, era = divided(day + 719468, 146097, &of_era);
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* from March */
    put_digits(to, 400 * era + year + (month >= 10), 4);
    put_digits(to + 5, month < 10 ? month + 3 : month - 9, 2);
    put_digits(to + 8, of_year - (153 * month + 2) / 5 + 1, 2);
}

/* As json_values.to_text; NULL with an exception. */
static PyObject *
time_text(PyObject *given)
{
    char text[] = "0000-00-00T00:00:00.000Z";
    int64_t of_day, of_second, at_ms = PyLong_AsLongLong(given);
    if (at_ms == -1 && PyErr_Occurred())
        return NULL;
    if (at_ms < FIRST_MS || at_ms > LAST_MS) {
        PyErr_SetString(PyExc_OverflowError, "a time that no date has");
        return NULL;
    }
    put_date(text, divided(at_ms, 86400000, &of_day));
    int64_t second = divided(of_day, 1000, &of_second);
    put_digits(text + 11, second / 3600, 2);
    put_digits(text + 14, second / 60 % 60, 2);
    put_digits(text + 17, second % 60, 2);
    put_digits(text + 20, of_second, 3);
    return PyBytes_FromStringAndSize(text, TIME_BYTES);
}

static PyObject *
number_text(PyObject *given)
{
    char text[DIGITS + 2];
    long long number = PyLong_AsLongLong(given);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    return PyBytes_FromStringAndSize(text, snprintf(text, sizeof text, "%lld", number));
}

static PyObject *
string_text(PyObject *given)
{
    Py_ssize_t length;
    const char *at = PyUnicode_AsUTF8AndSize(given, &length);
    return at == NULL ? NULL : PyBytes_FromStringAndSize(at, length);
}

static PyObject *
texts(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    enum { OFFSET = STRINGS + TIMES, REST, ARGUMENTS };
    enum { AT = STRINGS + 1, BEHIND = ARGUMENTS };
    if (count != ARGUMENTS || !PyTuple_Check(given[REST])) {
        PyErr_SetString(PyExc_TypeError,
                        "texts(sid, recipient, tail, reply_sid, received_ms, at_ms, before_ms, "
                        "offset, rest)");
        return NULL;
    }
    Py_ssize_t more = PyTuple_GET_SIZE(given[REST]);
    PyObject *made = PyTuple_New(BEHIND + more);
    if (made == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < BEHIND; i++) {
        PyObject *text = i < STRINGS             ? string_text(given[i])
                         : i < STRINGS + TIMES   ? time_text(given[i])
                         : i < STRINGS + TIMES + 1 ? number_text(given[AT])
                                                 : number_text(given[OFFSET]);
        if (text == NULL) {
            Py_DECREF(made);
            return NULL;
        }
        PyTuple_SET_ITEM(made, i, text);
    }
    for (Py_ssize_t i = 0; i < more; i++)
        PyTuple_SET_ITEM(made, BEHIND + i, Py_NewRef(PyTuple_GET_ITEM(given[REST], i)));
    return made;
}

/* Bytes of a part: its own, or those of a text; NULL with an exception if it has none. */
static PyObject *
bytes_of(PyObject *part, PyObject *texts)
{
    if (PyLong_Check(part)) {
        Py_ssize_t number = PyLong_AsSsize_t(part);
        if (number < 0 || number >= PyTuple_GET_SIZE(texts)) {
            PyErr_Clear();
            PyErr_SetString(PyExc_IndexError, "no such text");
            return NULL;
        }
        part = PyTuple_GET_ITEM(texts, number);
    }
    if (PyBytes_Check(part))
        return part;
    PyErr_SetString(PyExc_TypeError, "not a part of a form");
    return NULL;
}

static PyObject *
filled(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    if (count != 2 || !PyTuple_Check(given[0]) || !PyTuple_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "filled(parts, texts)");
        return NULL;
    }
    Py_ssize_t size = 0, parts = PyTuple_GET_SIZE(given[0]);
    for (Py_ssize_t i = 0; i < parts; i++) {
        PyObject *one = bytes_of(PyTuple_GET_ITEM(given[0], i), given[1]);
        if (one == NULL)
            return NULL;
        if (PyBytes_GET_SIZE(one) > PY_SSIZE_T_MAX - size)
            return PyErr_NoMemory();
        size += PyBytes_GET_SIZE(one);
    }
    PyObject *made = PyBytes_FromStringAndSize(NULL, size);
    if (made == NULL)
        return NULL;
    char *at = PyBytes_AS_STRING(made); /* the parts were measured, and nothing has run since */
    for (Py_ssize_t i = 0; i < parts; i++) {
        PyObject *one = bytes_of(PyTuple_GET_ITEM(given[0], i), given[1]);
        memcpy(at, PyBytes_AS_STRING(one), (size_t)PyBytes_GET_SIZE(one));
        at += PyBytes_GET_SIZE(one);
    }
    return made;
}

static PyMethodDef methods[] = {
    {"texts", (PyCFunction)(void (*)(void))texts, METH_FASTCALL,
     "texts(sid, recipient, tail, reply_sid, received_ms, at_ms, before_ms, offset, rest)"},
    {"filled", (PyCFunction)(void (*)(void))filled, METH_FASTCALL,
     "filled(parts, texts): the bytes of the parts, in which a number is a text's."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_texts", "Texts that fill forms.", 0, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__texts(void)
{
    return PyModuleDef_Init(&module_def);
}
