/* Finds thousands of patterns in texts at once, folding as it goes; see searching.py.
 *
 * An automaton of Aho and Corasick: a row of `next` for each state, a column for each class of
 * bytes. Texts come from strangers, and any byte has a class. Patterns are ours.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define FIRST_ROOM 1024 /* states */
#define PARTS 4         /* of the texts, which are walked in step */
#define MOST_CELLS (UINT32_C(1) << 31)
#define IS_MATCH (UINT32_C(1) << 31) /* in `next`: a pattern ends in this state */
#define NO_PATTERN UINT32_MAX
#define OTHER 0   /* class of bytes of no pattern: they lead to the first state */
#define DROPPED 1 /* class of a byte that counts for nothing */

typedef struct {
    uint32_t pattern, length; /* that ends here, or NO_PATTERN */
    uint32_t fallback;        /* the state of the longest end of this one that is a beginning */
    uint32_t also;            /* the next state on that way where a pattern ends, or 0 */
} State;

typedef struct {
    PyObject_HEAD
    uint8_t class_of[256];
    uint8_t separator, dropped;
    uint32_t classes, states, room;
    uint32_t *next; /* a state's number times `classes`, perhaps with IS_MATCH */
    State *state;
} Search;

typedef struct {
    Py_ssize_t offset; /* in the texts, behind the patterns that end there */
    uint32_t state;
} End;

typedef struct {
    End *ends;
    Py_ssize_t count, room;
} Ends;

/* A state without successors; 0 without memory. */
static uint32_t
new_state(Search *self)
{
    if (self->states == self->room) {
        if ((uint64_t)2 * self->room * self->classes > MOST_CELLS)
            return 0;
        size_t room = 2 * (size_t)self->room;
        uint32_t *next = PyMem_Realloc(self->next, room * self->classes * sizeof(uint32_t));
        if (next == NULL)
            return 0;
        self->next = next;
        State *state = PyMem_Realloc(self->state, room * sizeof(State));
        if (state == NULL)
            return 0;
        self->state = state;
        self->room = (uint32_t)room;
    }
    uint32_t made = self->states++;
    memset(self->next + (size_t)made * self->classes, 0, self->classes * sizeof(uint32_t));
    self->state[made] = (State){.pattern = NO_PATTERN};
    return made;
}

static int
add_pattern(Search *self, PyObject *pattern, const uint8_t *class_of_folded, uint32_t number)
{
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(pattern);
    Py_ssize_t length = PyBytes_GET_SIZE(pattern);
    uint32_t state = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        size_t cell = (size_t)state * self->classes + class_of_folded[at[i]];
        if (self->next[cell] == 0) {
            uint32_t made = new_state(self);
            if (made == 0)
                return -1;
            self->next[cell] = made;
        }
        state = self->next[cell];
    }
    self->state[state].pattern = number;
    self->state[state].length = (uint32_t)length;
    return 0;
}

/* Gives each state a successor for every class, from the first state outwards; -1 without memory. */
static int
complete(Search *self)
{
    uint32_t *queue = PyMem_Malloc(self->states * sizeof(uint32_t));
    if (queue == NULL)
        return -1;
    uint32_t taken = 0, put = 0;
    queue[put++] = 0;
    while (taken < put) {
        uint32_t at = queue[taken++];
        State *state = &self->state[at], *behind = &self->state[state->fallback];
        uint32_t *row = self->next + (size_t)at * self->classes;
        const uint32_t *other = self->next + (size_t)state->fallback * self->classes;
        if (at != 0)
            state->also = behind->pattern == NO_PATTERN ? behind->also : state->fallback;
        for (uint32_t class = DROPPED + 1; class < self->classes; class++) {
            if (row[class] == 0) {
                row[class] = at == 0 ? 0 : other[class];
                continue;
            }
            self->state[row[class]].fallback = at == 0 ? 0 : other[class];
            queue[put++] = row[class];
        }
        row[DROPPED] = at;
    }
    PyMem_Free(queue);
    for (size_t cell = 0; cell < (size_t)self->states * self->classes; cell++) {
        const State *state = &self->state[self->next[cell]];
        int is_match = state->pattern != NO_PATTERN || state->also != 0;
        self->next[cell] = self->next[cell] * self->classes | (is_match ? IS_MATCH : 0);
    }
    for (uint32_t at = 0; at < self->states; at++) /* a dropped byte ends no pattern again */
        self->next[(size_t)at * self->classes + DROPPED] &= ~IS_MATCH;
    return 0;
}

/* A class for each byte that patterns have, and for the bytes that are folded to it. */
static int
set_classes(Search *self, PyObject *patterns, const uint8_t *table, uint8_t dropped,
            uint8_t *class_of_folded)
{
    memset(class_of_folded, OTHER, 256);
    self->classes = DROPPED + 1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(patterns); i++) {
        char *at;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(patterns, i), &at, &length) < 0)
            return -1;
        if (length == 0 || memchr(at, dropped, length) || memchr(at, self->separator, length)) {
            PyErr_Format(PyExc_ValueError, "pattern %zd is empty or has a byte that no text has", i);
            return -1;
        }
        for (Py_ssize_t j = 0; j < length; j++)
            if (class_of_folded[(uint8_t)at[j]] == OTHER)
                class_of_folded[(uint8_t)at[j]] = (uint8_t)self->classes++; /* 256 at most */
    }
    for (int byte = 0; byte < 256; byte++)
        self->class_of[byte] = byte == dropped ? DROPPED : class_of_folded[table[byte]];
    return 0;
}

static int
build(Search *self, PyObject *patterns, const uint8_t *class_of_folded)
{
    self->room = FIRST_ROOM;
    self->next = PyMem_Malloc((size_t)FIRST_ROOM * self->classes * sizeof(uint32_t));
    self->state = PyMem_Malloc(FIRST_ROOM * sizeof(State));
    if (self->next == NULL || self->state == NULL)
        return -1;
    new_state(self);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(patterns); i++)
        if (add_pattern(self, PyTuple_GET_ITEM(patterns, i), class_of_folded, (uint32_t)i) < 0)
            return -1;
    return complete(self);
}

static PyObject *
search_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *patterns;
    const char *table;
    Py_ssize_t length;
    uint8_t dropped, separator, class_of_folded[256];
    if (!PyArg_ParseTuple(args, "O!y#bb", &PyTuple_Type, &patterns, &table, &length, &dropped,
                          &separator))
        return NULL;
    if (length != 256) {
        PyErr_SetString(PyExc_ValueError, "the table has not 256 bytes");
        return NULL;
    }
    Search *self = (Search *)type->tp_alloc(type, 0); /* zeros */
    if (self == NULL)
        return NULL;
    self->separator = separator;
    self->dropped = dropped;
    if (set_classes(self, patterns, (const uint8_t *)table, dropped, class_of_folded) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (build(self, patterns, class_of_folded) < 0) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void
search_free(Search *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(self->next);
    PyMem_Free(self->state);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* Notes that patterns end in a state; -1 without memory. */
static int
put_end(Ends *found, uint32_t state, Py_ssize_t offset)
{
    if (found->count == found->room) {
        Py_ssize_t room = found->room ? 2 * found->room : 64;
        End *ends = PyMem_Realloc(found->ends, room * sizeof(End));
        if (ends == NULL)
            return -1;
        found->ends = ends;
        found->room = room;
    }
    found->ends[found->count++] = (End){offset, state};
    return 0;
}

/* Walks one byte on; -1 without memory. */
static inline int
step(const Search *self, const uint8_t *texts, Py_ssize_t at, uint32_t *row, Ends *found)
{
    uint32_t then = self->next[*row + self->class_of[texts[at]]];
    *row = then & ~IS_MATCH;
    return then & IS_MATCH ? put_end(found, *row / self->classes, at + 1) : 0;
}

/* Walks parts of the texts side by side, as each step of a part waits for the one before. */
static int
search(const Search *self, const uint8_t *texts, const Py_ssize_t *begins, Ends *found)
{
    uint32_t rows[PARTS] = {0};
    Py_ssize_t together = begins[1] - begins[0];
    for (int part = 1; part < PARTS; part++)
        if (begins[part + 1] - begins[part] < together)
            together = begins[part + 1] - begins[part];
    for (Py_ssize_t i = 0; i < together; i++)
        for (int part = 0; part < PARTS; part++)
            if (step(self, texts, begins[part] + i, &rows[part], &found[part]) < 0)
                return -1;
    for (int part = 0; part < PARTS; part++)
        for (Py_ssize_t at = begins[part] + together; at < begins[part + 1]; at++)
            if (step(self, texts, at, &rows[part], &found[part]) < 0)
                return -1;
    return 0;
}

/* Cuts texts into parts of about one size, behind a separator. */
static void
cut(const Search *self, const uint8_t *texts, Py_ssize_t length, Py_ssize_t *begins)
{
    begins[0] = 0;
    begins[PARTS] = length;
    for (int part = 1; part < PARTS; part++) {
        Py_ssize_t least = begins[part - 1] + (length - begins[part - 1]) / (PARTS - part + 1);
        const uint8_t *at = memchr(texts + least, self->separator, length - least);
        begins[part] = at == NULL ? length : at - texts + 1;
    }
}

static Py_ssize_t
count(const uint8_t *at, const uint8_t *end, uint8_t byte)
{
    Py_ssize_t found = 0;
    while ((at = memchr(at, byte, end - at)) != NULL) {
        found++;
        at++;
    }
    return found;
}

/* Puts all patterns that end in a state, the longest first; -1 with an exception. */
static int
put_matches(const Search *self, PyObject *list, uint32_t at, Py_ssize_t position, Py_ssize_t place)
{
    do {
        const State *state = &self->state[at];
        at = state->also;
        if (state->pattern == NO_PATTERN)
            continue;
        PyObject *one = Py_BuildValue("(Inn)", state->pattern, position - state->length, place);
        int failed = one == NULL || PyList_Append(list, one) < 0;
        Py_XDECREF(one);
        if (failed)
            return -1;
    } while (at != 0);
    return 0;
}

static PyObject *
list_of(const Search *self, const uint8_t *texts, const Ends *found)
{
    PyObject *list = PyList_New(0);
    Py_ssize_t counted = 0, place = 0, dropped = 0;
    for (int part = 0; part < PARTS; part++)
        for (Py_ssize_t i = 0; list != NULL && i < found[part].count; i++) {
            const End *end = &found[part].ends[i];
            place += count(texts + counted, texts + end->offset, self->separator);
            dropped += count(texts + counted, texts + end->offset, self->dropped);
            counted = end->offset;
            if (put_matches(self, list, end->state, counted - dropped, place) < 0)
                Py_CLEAR(list);
        }
    return list;
}

static PyObject *
search_find(Search *self, PyObject *argument)
{
    char *texts;
    Py_ssize_t length, begins[PARTS + 1];
    if (PyBytes_AsStringAndSize(argument, &texts, &length) < 0)
        return NULL;
    Ends found[PARTS] = {{NULL, 0, 0}};
    PyObject *list = NULL;
    cut(self, (const uint8_t *)texts, length, begins);
    if (search(self, (const uint8_t *)texts, begins, found) < 0)
        PyErr_NoMemory();
    else
        list = list_of(self, (const uint8_t *)texts, found);
    for (int part = 0; part < PARTS; part++)
        PyMem_Free(found[part].ends);
    return list;
}

static PyMethodDef search_methods[] = {
    {"find", (PyCFunction)search_find, METH_O,
     "The matches in texts: pattern, start in the folded texts, separators before it."},
    {NULL},
};

static PyType_Slot search_slots[] = {
    {Py_tp_new, search_new},
    {Py_tp_dealloc, search_free},
    {Py_tp_methods, search_methods},
    {Py_tp_doc, "Search(patterns, table, dropped, separator): patterns as they are folded."},
    {0, NULL},
};

static PyType_Spec search_spec = {
    "processor.suspicion._search.Search", sizeof(Search), 0, Py_TPFLAGS_DEFAULT, search_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&search_spec);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Search", type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_search", "Finds patterns in texts.", 0, NULL, module_slots, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC
PyInit__search(void)
{
    return PyModuleDef_Init(&module_def);
}
