/* CRC-32C by the CPU's own instruction; the import fails where there is none. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_INSTRUCTION __builtin_cpu_supports("sse4.2")

__attribute__((target("sse4.2"))) static uint32_t
summed(const uint8_t *at, Py_ssize_t length)
{
    uint64_t sum = UINT32_MAX;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t eight;
        memcpy(&eight, at, 8);
        sum = __builtin_ia32_crc32di(sum, eight);
    }
    for (; length > 0; at++, length--)
        sum = __builtin_ia32_crc32qi((uint32_t)sum, *at);
    return (uint32_t)sum ^ UINT32_MAX;
}

#else
#define HAS_INSTRUCTION 0

static uint32_t
summed(const uint8_t *at, Py_ssize_t length)
{
    return 0; /* never called */
}
#endif

static PyObject *
crc32c(PyObject *module, PyObject *given)
{
    Py_buffer bytes;
    if (PyObject_GetBuffer(given, &bytes, PyBUF_SIMPLE))
        return NULL;
    uint32_t sum = summed(bytes.buf, bytes.len);
    PyBuffer_Release(&bytes);
    return PyLong_FromUnsignedLong(sum);
}

static PyMethodDef methods[] = {
    {"crc32c", crc32c, METH_O, "crc32c(bytes): the checksum that Kafka has in its record batches."},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    if (HAS_INSTRUCTION)
        return 0;
    PyErr_SetString(PyExc_ImportError, "this CPU has no instruction for CRC-32C");
    return -1;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_checksum", "CRC-32C.", 0, methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__checksum(void)
{
    return PyModuleDef_Init(&module_def);
}
