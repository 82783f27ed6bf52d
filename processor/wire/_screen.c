/* Checks the values of busy topics: which records are certainly what their model accepts.
 *
 * Its bytes come from strangers: every read is checked against the end of the value. It says yes
 * only where the model would; whatever it is not sure of (an escape that names a code point, an
 * unknown field, a rare form of a sender) is left to the model. So it needs no error messages.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define MOST_VALUE (512 * 1024) /* as MAX_VALUE_BYTES in json_values.py */
#define MOST_BODY 4096 /* characters, as MAX_BODY_CHARACTERS in schemas/common.py */
#define MOST_BODY_BYTES (4 * MOST_BODY)
#define MOST_URL 2048
#define ALPHANUMERICS 36 /* letters, of one case, and digits */

/* The fields of kafka.fetched.FetchedRecord that are read here. */
enum { TOPIC = 0, PARTITION = 1, KEY = 5, VALUE = 6, RECORD_FIELDS = 8 };

typedef enum { VERSION, SID, ADDRESS, SENDER, BODY, COUNTRY, FEW, NOTHING, URL, TIME } Kind;

typedef struct {
    const char *name;
    size_t length;
    Kind kind;
    int is_required, may_be_null;
} Field;

#define NAME(name) name, sizeof(name) - 1

#define FIELDS 10
typedef Field Model[FIELDS];

static const Model INBOUND = {
    {NAME("message_sid"), SID, 1, 0},
    {NAME("account_sid"), SID, 1, 0},
    {NAME("messaging_service_sid"), SID, 0, 1},
    {NAME("from"), ADDRESS, 1, 0},
    {NAME("to"), SENDER, 1, 0},
    {NAME("body"), BODY, 1, 0},
    {NAME("num_media"), FEW, 0, 0},
    {NAME("received_at"), TIME, 1, 0},
    {NAME("from_country"), COUNTRY, 0, 1},
    {NAME("schema_version"), VERSION, 0, 0},
};

static const Model OUTBOUND = {
    {NAME("message_sid"), SID, 1, 0},
    {NAME("account_sid"), SID, 1, 0},
    {NAME("messaging_service_sid"), SID, 0, 1},
    {NAME("from"), SENDER, 0, 1},
    {NAME("to"), ADDRESS, 1, 0},
    {NAME("body"), BODY, 1, 0},
    {NAME("created_at"), TIME, 1, 0},
    {NAME("media_urls"), NOTHING, 0, 1},
    {NAME("status_callback"), URL, 0, 1},
    {NAME("schema_version"), VERSION, 0, 0},
};

/* The places of fields; sends have the body where messages have it. */
enum { ACCOUNT_AT = 1, SERVICE_AT = 2, SEND_FROM_AT = 3, SEND_TO_AT = 4, BODY_AT = 5 };

/* And those of messages alone. */
enum { SID_AT = 0, FROM_AT = 3, TO_AT = 4, MEDIA_AT = 6, TIME_AT = 7, COUNTRY_AT = 8 };

typedef struct {
    const uint8_t *at;
    Py_ssize_t length;
    int is_ascii, is_escaped;
} Text;

typedef struct {
    Text texts[FIELDS];
} Found;

static inline const uint8_t *
behind_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static inline int
is_plain(uint8_t byte)
{
    return byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
}

/* The first byte that is a quote, a backslash, a control or not ASCII, looked for by eights. */
static inline const uint8_t *
behind_plain(const uint8_t *at, const uint8_t *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    for (; end - at >= 8; at += 8) {
        uint64_t eight;
        memcpy(&eight, at, 8);
        uint64_t quotes = eight ^ ones * '"', slashes = eight ^ ones * '\\';
        uint64_t found = ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)
                         | ((eight - ones * ' ') & ~eight) | eight;
        if (found & highs) /* a borrow may mark bytes behind the first that is found, none before */
            return at + __builtin_ctzll(found & highs) / 8;
    }
#endif
    while (at < end && is_plain(*at))
        at++;
    return at;
}

/* A text at its first quote; where it ends, or NULL. Escapes are of two characters only. */
static inline const uint8_t *
text_at(const uint8_t *at, const uint8_t *end, Text *text)
{
    if (at >= end || *at != '"')
        return NULL;
    text->at = ++at;
    text->is_ascii = 1;
    text->is_escaped = 0;
    while ((at = behind_plain(at, end)) < end) {
        if (*at == '"') {
            text->length = at - text->at;
            return at + 1;
        }
        if (*at < ' ')
            return NULL;
        if (*at == '\\') {
            text->is_escaped = 1;
            if (++at >= end || *at == 0 || !strchr("\"\\/bfnrt", *at))
                return NULL;
            at++;
            continue;
        }
        text->is_ascii = 0;
        while (at < end && *at >= 0x80)
            at++;
    }
    return NULL;
}

static inline int
is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static inline int
is_upper(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z';
}

/* 0 for what an id may hold. */
static const uint8_t NOT_OF_SID[256] = {
    [0 ... '-' - 1] = 1, ['/'] = 1, [';' ... '@'] = 1, ['[' ... '^'] = 1, ['`'] = 1,
    ['{' ... 255] = 1,
};

static int
is_sid(const uint8_t *at, Py_ssize_t length)
{
    uint8_t bad = length < 1 || length > 64;
    for (Py_ssize_t i = 0; !bad && i + 4 <= length; i += 4)
        bad = NOT_OF_SID[at[i]] | NOT_OF_SID[at[i + 1]] | NOT_OF_SID[at[i + 2]]
              | NOT_OF_SID[at[i + 3]];
    for (Py_ssize_t i = length & ~3; !bad && i < length; i++)
        bad = NOT_OF_SID[at[i]];
    return !bad;
}

static int
is_number(const uint8_t *at, Py_ssize_t length)
{
    if (length < 8 || length > 16 || at[0] != '+' || at[1] == '0')
        return 0;
    int bad = 0;
    for (Py_ssize_t i = 1; i < length; i++)
        bad |= !is_digit(at[i]);
    return !bad;
}

static int
is_address(const uint8_t *at, Py_ssize_t length)
{
    if (length > 9 && memcmp(at, "whatsapp:", 9) == 0)
        return is_number(at + 9, length - 9);
    if (length > 4 && memcmp(at, "rcs:", 4) == 0)
        return is_number(at + 4, length - 4);
    return is_number(at, length);
}

static int
is_sender(const uint8_t *at, Py_ssize_t length)
{
    if (length < 3 || length > 8 || !is_digit(at[0]))
        return is_address(at, length); /* agents and names are left to the model */
    for (Py_ssize_t i = 0; i < length; i++)
        if (!is_digit(at[i]))
            return 0;
    return 1;
}

static int
is_url(const uint8_t *at, Py_ssize_t length)
{
    if (length > MOST_URL)
        return 0;
    Py_ssize_t begin = length > 8 && memcmp(at, "https://", 8) == 0   ? 8
                       : length > 7 && memcmp(at, "http://", 7) == 0 ? 7
                                                                     : 0;
    for (Py_ssize_t i = begin; i < length; i++)
        if (at[i] <= ' ' || at[i] > '~')
            return 0;
    return begin > 0;
}

/* Digits as a number, or -1. */
static inline int
digits(const uint8_t *at, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        if (!is_digit(at[i]))
            return -1;
        number = 10 * number + at[i] - '0';
    }
    return number;
}

static inline int
is_between(int low, int number, int high)
{
    return low <= number && number <= high;
}

/* `2026-11-02T12:00:00.000Z`, or with an offset; from 1971 to 9997, so that its bounds are sure. */
static int
is_time(const uint8_t *at, Py_ssize_t length)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (length < 20 || length > 32)
        return 0;
    int year = digits(at, 4), month = digits(at + 5, 2), day = digits(at + 8, 2);
    if (at[4] != '-' || at[7] != '-' || at[10] != 'T' || at[13] != ':' || at[16] != ':')
        return 0;
    if (!is_between(1971, year, 9997) || !is_between(1, month, 12))
        return 0;
    int is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (!is_between(1, day, days[month - 1] + (month == 2 && is_leap)))
        return 0;
    if (!is_between(0, digits(at + 11, 2), 23) || !is_between(0, digits(at + 14, 2), 59)
        || !is_between(0, digits(at + 17, 2), 59))
        return 0;
    const uint8_t *end = at + length;
    at += 19;
    if (*at == '.') {
        const uint8_t *begin = ++at;
        while (at < end && is_digit(*at))
            at++;
        if (!is_between(1, (int)(at - begin), 6))
            return 0;
    }
    if (end - at == 1)
        return *at == 'Z';
    return end - at == 6 && (*at == '+' || *at == '-') && at[3] == ':'
           && is_between(0, digits(at + 1, 2), 23) && is_between(0, digits(at + 4, 2), 59);
}

/* Whether a text is sure to be of its kind; a body is checked by who uses it, where not ASCII. */
static int
is_good(Kind kind, const Text *text)
{
    const uint8_t *at = text->at;
    Py_ssize_t length = text->length;
    if (kind == BODY)
        return length <= (text->is_ascii && !text->is_escaped ? MOST_BODY : MOST_BODY_BYTES);
    if (text->is_escaped)
        return 0;
    switch (kind) { /* none of these accepts a byte that is not ASCII */
    case SID:
        return is_sid(at, length);
    case ADDRESS:
        return is_address(at, length);
    case SENDER:
        return is_sender(at, length);
    case COUNTRY:
        return length == 2 && is_upper(at[0]) && is_upper(at[1]);
    case URL:
        return is_url(at, length);
    case TIME:
        return is_time(at, length);
    default:
        return 0;
    }
}

/* A whole number that its field allows; where it ends, or NULL. */
static const uint8_t *
few_at(Kind kind, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *begin = at;
    while (at < end && at - begin < 4 && is_digit(*at))
        at++;
    int count = (int)(at - begin);
    if (!is_between(1, count, 3) || (count > 1 && *begin == '0'))
        return NULL;
    int found = digits(begin, count);
    return (kind == VERSION ? found == 1 : kind == FEW && found <= 100) ? at : NULL;
}

/* The value of a field; where it ends, or NULL where it is not sure. */
static const uint8_t *
value_at(const Field *field, const uint8_t *at, const uint8_t *end, Text *text)
{
    if (at >= end)
        return NULL;
    if (*at == '"') {
        at = text_at(at, end, text);
        return at != NULL && is_good(field->kind, text) ? at : NULL;
    }
    text->at = at; /* marks the field as found */
    text->length = 0;
    if (*at == 'n')
        return field->may_be_null && end - at >= 4 && memcmp(at, "null", 4) == 0 ? at + 4 : NULL;
    return few_at(field->kind, at, end);
}

/* The field that a name at its first quote is of; where the name ends, or NULL where none. */
static const uint8_t *
name_at(const Model model, const uint8_t *at, const uint8_t *end, int guess, int *index)
{
    const Field *next = &model[guess % FIELDS]; /* most writers keep the order of the model */
    Py_ssize_t length = (Py_ssize_t)next->length;
    if (end - at >= length + 2 && *at == '"' && at[length + 1] == '"'
        && memcmp(at + 1, next->name, next->length) == 0) {
        *index = guess % FIELDS;
        return at + length + 2;
    }
    Text name;
    at = text_at(at, end, &name);
    for (int i = 0; at != NULL && i < FIELDS; i++) {
        *index = (guess + i) % FIELDS;
        if (model[*index].length == (size_t)name.length
            && memcmp(model[*index].name, name.at, model[*index].length) == 0)
            return at;
    }
    return NULL;
}

/* Whether the model is sure to accept a value whose body, where not ASCII, is UTF-8. */
static int
is_sure(const Model model, const uint8_t *at, Py_ssize_t length, Found *found)
{
    const uint8_t *end = at + length;
    for (int i = 0; i < FIELDS; i++)
        found->texts[i].at = NULL;
    at = behind_space(at, end);
    if (at >= end || *at++ != '{')
        return 0;
    int guess = 0;
    for (;;) {
        int index;
        at = name_at(model, behind_space(at, end), end, guess, &index);
        if (at == NULL || found->texts[index].at != NULL)
            return 0; /* unknown, or twice */
        guess = index + 1;
        at = behind_space(at, end);
        if (at >= end || *at++ != ':')
            return 0;
        at = value_at(&model[index], behind_space(at, end), end, &found->texts[index]);
        if (at == NULL)
            return 0;
        at = behind_space(at, end);
        if (at >= end)
            return 0;
        uint8_t next = *at++;
        if (next == '}')
            break;
        if (next != ',')
            return 0;
    }
    if (behind_space(at, end) != end)
        return 0;
    for (int i = 0; i < FIELDS; i++)
        if (model[i].is_required && found->texts[i].at == NULL)
            return 0;
    return 1;
}

/* The body without its escapes, in `room` of MOST_BODY_BYTES where it has some. */
static void
unescape(Text *body, uint8_t *room)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (!body->is_escaped)
        return;
    Py_ssize_t length = 0;
    for (Py_ssize_t i = 0; i < body->length; i++) {
        uint8_t byte = body->at[i];
        if (byte == '\\') {
            byte = body->at[++i]; /* text_at has seen that there is one */
            const char *special = strchr(from, byte);
            if (special != NULL)
                byte = (uint8_t)to[special - from];
        }
        room[length++] = byte;
    }
    body->at = room;
    body->length = length;
    body->is_escaped = 0;
}

/* 36 of them; -1 for other bytes. */
static inline int
letter_or_digit(uint8_t byte)
{
    if (is_digit(byte))
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'z' ? byte - 'a' + 10 : -1;
}

/* Whether a text of ASCII is a key of a dictionary; -1 with an exception. */
static int
is_among(PyObject *keys, const char *at, Py_ssize_t length)
{
    PyObject *text = PyUnicode_DecodeASCII(at, length, NULL);
    if (text == NULL)
        return -1;
    int is_one = PyDict_Contains(keys, text);
    Py_DECREF(text);
    return is_one;
}

/* For each pair of letters or digits, whether a keyword in ASCII begins with it. */
typedef struct {
    uint8_t has[ALPHANUMERICS * ALPHANUMERICS];
    PyObject *ends; /* the first two and the last two of each, see core/prefilter.py */
} Heads;

static void
read_heads(PyObject *given, PyObject *ends, Heads *heads)
{
    PyObject *head;
    Py_ssize_t position = 0;
    memset(heads->has, 0, sizeof heads->has);
    heads->ends = ends;
    while (PyDict_Next(given, &position, &head, NULL)) {
        if (!PyUnicode_Check(head) || !PyUnicode_IS_ASCII(head) || PyUnicode_GET_LENGTH(head) != 2)
            continue; /* a shorter one; no body of two letters begins with it */
        const uint8_t *at = PyUnicode_1BYTE_DATA(head);
        int first = letter_or_digit(at[0]), second = letter_or_digit(at[1]);
        if (first >= 0 && second >= 0)
            heads->has[first * ALPHANUMERICS + second] = 1;
    }
}

static inline char
small(uint8_t letter_or_digit)
{
    return (char)(is_upper(letter_or_digit) ? letter_or_digit | 0x20 : letter_or_digit);
}

/* Whether no keyword begins and ends with the letters or digits with which an ASCII body does; 0
 * where it begins or ends with others. -1 with an exception. */
static int
is_no_keyword(const Text *body, const Heads *heads)
{
    const uint8_t *at = body->at;
    Py_ssize_t length = body->length;
    if (length < 2)
        return 0;
    int first = letter_or_digit(at[0]), second = letter_or_digit(at[1]);
    if (first < 0 || second < 0)
        return 0;
    if (!heads->has[first * ALPHANUMERICS + second])
        return 1;
    while (at[length - 1] && strchr(" .!?,", at[length - 1]))
        length--; /* not beyond the first two */
    if (letter_or_digit(at[length - 2]) < 0 || letter_or_digit(at[length - 1]) < 0)
        return 0;
    const char ends[4] = {small(at[0]), small(at[1]), small(at[length - 2]), small(at[length - 1])};
    int is_one = is_among(heads->ends, ends, sizeof ends);
    return is_one < 0 ? -1 : !is_one;
}

/* The value of a record of this topic, or NULL where another reader must look at it. */
static PyObject *
value_of(PyObject *record, PyObject *topic)
{
    if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) != RECORD_FIELDS)
        return NULL;
    PyObject *own = PyTuple_GET_ITEM(record, TOPIC), *value = PyTuple_GET_ITEM(record, VALUE);
    if (own != topic && (!PyUnicode_Check(own) || PyUnicode_Compare(own, topic) != 0))
        return NULL;
    return PyBytes_Check(value) && PyBytes_GET_SIZE(value) <= MOST_VALUE ? value : NULL;
}

static int
append_index(PyObject *list, Py_ssize_t index)
{
    PyObject *number = PyLong_FromSsize_t(index);
    int failed = number == NULL || PyList_Append(list, number);
    Py_XDECREF(number);
    return failed ? -1 : 0;
}

/* The body of a record as text; NULL with an exception, or without one where it is not good. */
static PyObject *
text_of(const Text *body)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)body->at, body->length, NULL);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    if (text != NULL && PyUnicode_GET_LENGTH(text) > MOST_BODY)
        Py_CLEAR(text);
    return text;
}

#define SEPARATOR 0x1E /* between two texts, as in suspicion/stems.py */

/* The bodies that are no keyword, one after another, and the index of the record of each. */
typedef struct {
    uint8_t *at;
    Py_ssize_t length, room;
    int32_t *indexes;
    Py_ssize_t count;
} Others;

/* Add a body between spaces; a separator within it becomes a space. -1 with an exception. */
static int
add_other(Others *others, Py_ssize_t index, const Text *body)
{
    if (others->room - others->length < body->length + 3) {
        Py_ssize_t room = 2 * others->room + body->length + 3;
        uint8_t *at = PyMem_Realloc(others->at, (size_t)room);
        if (at == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        others->at = at;
        others->room = room;
    }
    uint8_t *to = others->at + others->length;
    if (others->count)
        *to++ = SEPARATOR;
    *to++ = ' ';
    memcpy(to, body->at, (size_t)body->length);
    for (uint8_t *one = to; (one = memchr(one, SEPARATOR, (size_t)(to + body->length - one)));)
        *one = ' ';
    to += body->length;
    *to++ = ' ';
    others->length = to - others->at;
    others->indexes[others->count++] = (int32_t)index;
    return 0;
}

/* Put a record where it belongs: to the others, or into one of the lists; -1 with an exception. */
static int
sort_message(PyObject *value, Py_ssize_t index, const Heads *heads, PyObject *accounts,
             PyObject *unsure, PyObject *bodies, Others *others)
{
    Found found;
    uint8_t room[MOST_BODY_BYTES];
    if (value == NULL
        || !is_sure(INBOUND, (const uint8_t *)PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
                    &found))
        return append_index(unsure, index);
    if (PyDict_GET_SIZE(accounts)) {
        const Text *account = &found.texts[ACCOUNT_AT];
        int is_one = is_among(accounts, (const char *)account->at, account->length);
        if (is_one)
            return is_one < 0 ? -1 : append_index(unsure, index);
    }
    Text *body = &found.texts[BODY_AT];
    unescape(body, room);
    if (body->is_ascii && body->length <= MOST_BODY) {
        int is_none = is_no_keyword(body, heads);
        if (is_none)
            return is_none < 0 ? -1 : add_other(others, index, body);
    }
    PyObject *text = text_of(body);
    if (text == NULL)
        return PyErr_Occurred() ? -1 : append_index(unsure, index);
    PyObject *pair = Py_BuildValue("(nN)", index, text);
    int failed = pair == NULL || PyList_Append(bodies, pair);
    Py_XDECREF(pair);
    return failed ? -1 : 0;
}

static PyObject *
screen_messages(PyObject *module, PyObject *arguments)
{
    PyObject *records, *topic, *given, *ends, *accounts;
    Heads heads;
    if (!PyArg_ParseTuple(arguments, "OUO!O!O!", &records, &topic, &PyDict_Type, &given,
                          &PyDict_Type, &ends, &PyDict_Type, &accounts))
        return NULL;
    read_heads(given, ends, &heads);
    PyObject *all = PySequence_Tuple(records);
    PyObject *unsure = PyList_New(0), *bodies = PyList_New(0), *result = NULL;
    Others others = {NULL, 0, 0, NULL, 0};
    if (all != NULL && unsure != NULL && bodies != NULL) {
        Py_ssize_t index = 0, count = PyTuple_GET_SIZE(all);
        others.indexes = PyMem_Malloc((size_t)(count ? count : 1) * sizeof(int32_t));
        if (others.indexes == NULL) {
            PyErr_NoMemory();
            count = -1; /* looks at none, and has no result */
        }
        while (index < count) {
            PyObject *value = value_of(PyTuple_GET_ITEM(all, index), topic);
            if (sort_message(value, index, &heads, accounts, unsure, bodies, &others) < 0)
                break;
            index++;
        }
        if (index == count)
            result = Py_BuildValue("(OOy#y#)", unsure, bodies,
                                   others.at ? (char *)others.at : "", others.length,
                                   (char *)others.indexes,
                                   others.count * (Py_ssize_t)sizeof(int32_t));
    }
    PyMem_Free(others.at);
    PyMem_Free(others.indexes);
    Py_XDECREF(all);
    Py_XDECREF(unsure);
    Py_XDECREF(bodies);
    return result;
}

/* Kafka's hash of keys, as in core/partitions.py. */
static uint32_t
murmur2(const uint8_t *at, Py_ssize_t length)
{
    const uint32_t m = 0x5BD1E995;
    uint32_t hash = 0x9747B28C ^ (uint32_t)length;
    for (; length >= 4; at += 4, length -= 4) {
        uint32_t k = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16
                     | (uint32_t)at[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        hash = hash * m ^ k;
    }
    for (Py_ssize_t i = length - 1; i >= 0; i--)
        hash ^= (uint32_t)at[i] << 8 * i;
    if (length)
        hash *= m;
    hash ^= hash >> 13;
    hash *= m;
    return hash ^ hash >> 15;
}

/* Whether a number may have another spelling (R32), which Python knows: of Mexico, Argentina and
 * Brazil one length each is sure. */
static int
may_have_two_spellings(const Text *to)
{
    if (to->at[1] != '5')
        return 0;
    switch (to->at[2]) {
    case '2':
    case '4':
        return to->length != sizeof "+520000000000" - 1;
    case '5':
        return to->length != sizeof "+5500900000000" - 1;
    default:
        return 0;
    }
}

/* Whether a record is in the partition of its recipient, a bare number that is also its key. */
static int
is_placed(PyObject *record, const Text *to, long partitions)
{
    PyObject *key = PyTuple_GET_ITEM(record, KEY);
    PyObject *partition = PyTuple_GET_ITEM(record, PARTITION);
    if (!PyBytes_Check(key) || PyBytes_GET_SIZE(key) != to->length
        || memcmp(PyBytes_AS_STRING(key), to->at, (size_t)to->length) != 0
        || !PyLong_CheckExact(partition))
        return 0;
    int overflow;
    long own = PyLong_AsLongAndOverflow(partition, &overflow);
    return !overflow && own == (long)((murmur2(to->at, to->length) & 0x7FFFFFFF) % partitions);
}

/* Whether a record is a sure send in its place; -1 with an exception. */
static int
is_sure_send(PyObject *record, PyObject *topic, long partitions, Found *found)
{
    PyObject *value = value_of(record, topic);
    if (value == NULL
        || !is_sure(OUTBOUND, (const uint8_t *)PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
                    found))
        return 0;
    Text *body = &found->texts[BODY_AT];
    const Text *to = &found->texts[SEND_TO_AT];
    if (to->at[0] != '+' || may_have_two_spellings(to) || !is_placed(record, to, partitions))
        return 0;
    if (!body->is_ascii || body->is_escaped) {
        uint8_t room[MOST_BODY_BYTES];
        unescape(body, room);
        PyObject *text = text_of(body);
        if (text == NULL)
            return PyErr_Occurred() ? -1 : 0;
        Py_DECREF(text);
    }
    return 1;
}

/* `account/number`. */
static PyObject *
entry_of(const Found *found)
{
    const Text *to = &found->texts[SEND_TO_AT], *account = &found->texts[ACCOUNT_AT];
    PyObject *entry = PyUnicode_New(account->length + 1 + to->length, 127);
    if (entry == NULL)
        return NULL;
    uint8_t *into = PyUnicode_1BYTE_DATA(entry);
    memcpy(into, account->at, (size_t)account->length);
    into[account->length] = '/';
    memcpy(into + account->length + 1, to->at, (size_t)to->length);
    return entry;
}

/* A text of ASCII; None where the field is missing or null. */
static PyObject *
text_or_none(const Text *text)
{
    if (text->at == NULL || text->length == 0) /* no id and no sender is empty */
        return Py_NewRef(Py_None);
    return PyUnicode_DecodeASCII((const char *)text->at, text->length, NULL);
}

/* Account, service and sender, as the send names them. */
static PyObject *
origin_of(const Found *found)
{
    PyObject *account = text_or_none(&found->texts[ACCOUNT_AT]);
    PyObject *service = text_or_none(&found->texts[SERVICE_AT]);
    PyObject *sender = text_or_none(&found->texts[SEND_FROM_AT]);
    PyObject *origin = NULL;
    if (account != NULL && service != NULL && sender != NULL)
        origin = PyTuple_Pack(3, account, service, sender);
    Py_XDECREF(account);
    Py_XDECREF(service);
    Py_XDECREF(sender);
    return origin;
}

/* Put entry and origin of a send into the lists; -1 with an exception. */
static int
read_send(PyObject *record, Py_ssize_t index, PyObject *topic, long partitions,
          PyObject *entries, PyObject *origins)
{
    Found found;
    int sure = is_sure_send(record, topic, partitions, &found);
    if (sure < 0)
        return -1;
    PyObject *entry = sure ? entry_of(&found) : Py_NewRef(Py_None);
    PyObject *origin = sure ? origin_of(&found) : Py_NewRef(Py_None);
    if (entry == NULL || origin == NULL) {
        Py_XDECREF(entry);
        Py_XDECREF(origin);
        return -1;
    }
    PyList_SET_ITEM(entries, index, entry);
    PyList_SET_ITEM(origins, index, origin);
    return 0;
}

static PyObject *
screen_sends(PyObject *module, PyObject *arguments)
{
    PyObject *records, *topic;
    long partitions;
    if (!PyArg_ParseTuple(arguments, "OUl", &records, &topic, &partitions))
        return NULL;
    if (partitions < 1) {
        PyErr_SetString(PyExc_ValueError, "a topic has at least one partition");
        return NULL;
    }
    PyObject *all = PySequence_Tuple(records);
    if (all == NULL)
        return NULL;
    Py_ssize_t index = 0, count = PyTuple_GET_SIZE(all);
    PyObject *entries = PyList_New(count), *origins = PyList_New(count), *result = NULL;
    if (entries != NULL && origins != NULL) {
        while (index < count
               && read_send(PyTuple_GET_ITEM(all, index), index, topic, partitions, entries,
                            origins) == 0)
            index++;
        if (index == count)
            result = PyTuple_Pack(2, entries, origins);
    }
    Py_DECREF(all);
    Py_XDECREF(entries);
    Py_XDECREF(origins);
    return result;
}

/* A sure time in ms since 1970; -1 where it is not written as we write times: with milliseconds at
 * most, and in UTC. */
static int64_t
ms_of(const Text *time)
{
    const uint8_t *at = time->at, *end = at + time->length - 1;
    if (*end != 'Z' || end - at > 23)
        return -1;
    int64_t year = digits(at, 4), month = digits(at + 5, 2), day = digits(at + 8, 2), ms = 0;
    int64_t second = 3600 * digits(at + 11, 2) + 60 * digits(at + 14, 2) + digits(at + 17, 2);
    int place = 100;
    for (const uint8_t *one = at + 20; one < end; one++, place /= 10)
        ms += place * (*one - '0');
    year -= month < 3; /* so that a leap day comes last */
    month += month < 3 ? 9 : -3;
    int64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1
                   - 719468;
    return 1000 * (86400 * days + second) + ms;
}

/* A number that is_sure has seen; 0 where the field is missing. */
static int
number_of(const Text *number, const uint8_t *end)
{
    int count = 0;
    if (number->at == NULL)
        return 0;
    while (number->at + count < end && is_digit(number->at[count]))
        count++;
    return digits(number->at, count);
}

/* Finds the fields of a value and its body as text, in `room` of MOST_BODY_BYTES where that has
 * escapes; NULL with an exception, or without one where the model must read it. */
static PyObject *
body_of(PyObject *value, Found *found, uint8_t *room)
{
    if (!PyBytes_Check(value) || PyBytes_GET_SIZE(value) > MOST_VALUE
        || !is_sure(INBOUND, (const uint8_t *)PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
                    found))
        return NULL;
    Text *body = &found->texts[BODY_AT];
    unescape(body, room);
    return text_of(body);
}

/* A tuple that begins with these fields, the rest of it still to be set; takes the body over. */
static PyObject *
tuple_of(const Found *found, PyObject *body, const int *order, int fields, int size)
{
    PyObject *made = PyTuple_New(size);
    for (int i = 0; made != NULL && i < fields; i++) {
        PyObject *field = order[i] == BODY_AT ? Py_NewRef(body)
                                              : text_or_none(&found->texts[order[i]]);
        if (field == NULL)
            Py_CLEAR(made);
        else
            PyTuple_SET_ITEM(made, i, field);
    }
    Py_DECREF(body);
    return made;
}

#define COUNT(array) ((int)(sizeof array / sizeof array[0]))

static PyObject *
read_text(PyObject *module, PyObject *value)
{
    static const int order[] = {ACCOUNT_AT, SERVICE_AT, FROM_AT, TO_AT, BODY_AT, COUNTRY_AT};
    Found found;
    uint8_t room[MOST_BODY_BYTES];
    PyObject *body = body_of(value, &found, room);
    if (body == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    return tuple_of(&found, body, order, COUNT(order), COUNT(order));
}

static PyObject *
read_message(PyObject *module, PyObject *value)
{
    static const int order[] = {SID_AT, ACCOUNT_AT, SERVICE_AT, FROM_AT, TO_AT, BODY_AT,
                                COUNTRY_AT};
    enum { TEXTS = COUNT(order) };
    Found found;
    uint8_t room[MOST_BODY_BYTES];
    PyObject *body = body_of(value, &found, room);
    if (body == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    int64_t received_ms = ms_of(&found.texts[TIME_AT]);
    if (received_ms < 0) {
        Py_DECREF(body);
        Py_RETURN_NONE;
    }
    PyObject *fields = tuple_of(&found, body, order, TEXTS, TEXTS + 2);
    if (fields == NULL)
        return NULL;
    const uint8_t *end = (const uint8_t *)PyBytes_AS_STRING(value) + PyBytes_GET_SIZE(value);
    PyObject *media = PyLong_FromLong(number_of(&found.texts[MEDIA_AT], end));
    PyObject *received = PyLong_FromLongLong(received_ms);
    if (media == NULL || received == NULL) {
        Py_XDECREF(media);
        Py_XDECREF(received);
        Py_DECREF(fields);
        return NULL;
    }
    PyTuple_SET_ITEM(fields, TEXTS, media);
    PyTuple_SET_ITEM(fields, TEXTS + 1, received);
    return fields;
}

static PyMethodDef methods[] = {
    {"read_message", read_message, METH_O,
     "read_message(value): what wire/screening.py says."},
    {"read_text", read_text, METH_O, "read_text(value): what wire/screening.py says."},
    {"screen_messages", screen_messages, METH_VARARGS,
     "screen_messages(records, topic, heads, ends, accounts): what wire/screening.py says."},
    {"screen_sends", screen_sends, METH_VARARGS,
     "screen_sends(records, topic, partitions): what wire/screening.py says."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_screen", "Checks the values of busy topics.", 0, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__screen(void)
{
    return PyModuleDef_Init(&module_def);
}
