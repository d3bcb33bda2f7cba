/* NPY: magic, version, length, a Python dictionary in text, raw values. The dictionary is read by a
 * strict little parser for exactly the three keys that the format has. */
#include "io/npy.h"

#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are copied to and from little-endian files as they are"
#endif

#define MAGIC "\x93NUMPY"
#define MAGIC_SIZE 6
/* For our ranks and types 200 bytes do; NumPy's own limit is 10,000. */
#define HEADER_LIMIT 65536

/* The first five in the order of irn_dtype, as NumPy writes them. */
static const struct {
    const char *word;
    irn_dtype type;
} descriptions[] = {{"<f4", IRN_FLOAT32}, {"<f8", IRN_FLOAT64}, {"<i4", IRN_INT32},
                    {"<i8", IRN_INT64},   {"|u1", IRN_UINT8},   {"<u1", IRN_UINT8}};

/* The rest of the header, and what was found in it. */
typedef struct header {
    const char *name; /* of the file */
    const char *at, *end;
    bool has_type, has_order, has_shape;
    irn_array array; /* without data */
} header;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_spaces(header *in)
{
    while (in->at < in->end && is_space(*in->at))
        in->at++;
}

/* Skips spaces, then takes the character if it comes next. */
static bool take(header *in, char wanted)
{
    skip_spaces(in);
    if (in->at == in->end || *in->at != wanted)
        return false;
    in->at++;
    return true;
}

static bool take_word(header *in, const char *word)
{
    size_t length = strlen(word);
    skip_spaces(in);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
        return false;
    in->at += length;
    return true;
}

static irn_status malformed(const header *in, const char *wanted)
{
    char text[IRN_EXCERPT];
    return irn_fail(IRN_ERROR_FORMAT, "%s: malformed NPY header, %s expected before \"%s\"",
                    in->name, wanted, irn_excerpt(text, in->at, (size_t)(in->end - in->at)));
}

/* A string without escapes, in either kind of quotes. */
static irn_status take_string(header *in, const char **text, size_t *size)
{
    char quote = take(in, '\'') ? '\'' : '"';
    if (quote == '"' && !take(in, '"'))
        return malformed(in, "a string");
    const char *close = memchr(in->at, quote, (size_t)(in->end - in->at));
    if (!close)
        return malformed(in, "a closing quote");
    *text = in->at;
    *size = (size_t)(close - in->at);
    in->at = close + 1;
    return IRN_OK;
}

static irn_status take_type(header *in)
{
    const char *text;
    size_t size;
    IRN_TRY(take_string(in, &text, &size));
    for (size_t i = 0; i < sizeof descriptions / sizeof *descriptions; i++)
        if (size == 3 && memcmp(text, descriptions[i].word, size) == 0) {
            in->array.type = descriptions[i].type;
            return IRN_OK;
        }
    char word[IRN_EXCERPT];
    return irn_fail(IRN_ERROR_FORMAT,
                    "%s: values of type '%s'; only <f4, <f8, <i4, <i8 and |u1 can be read",
                    in->name, irn_excerpt(word, text, size));
}

static irn_status take_order(header *in)
{
    if (take_word(in, "True"))
        return irn_fail(IRN_ERROR_FORMAT, "%s: is in Fortran order, only C order can be read",
                        in->name);
    return take_word(in, "False") ? IRN_OK : malformed(in, "True or False");
}

static irn_status take_size(header *in, size_t *size)
{
    const char *start = in->at;
    for (*size = 0; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
        size_t digit = (size_t)(*in->at - '0');
        if (*size > (SIZE_MAX - digit) / 10)
            return irn_fail(IRN_ERROR_FORMAT, "%s: a size in its shape is above %zu", in->name,
                            SIZE_MAX);
        *size = *size * 10 + digit;
    }
    return in->at > start ? IRN_OK : malformed(in, "a size");
}

static irn_status take_shape(header *in)
{
    irn_array *array = &in->array;
    if (!take(in, '('))
        return malformed(in, "a tuple");
    bool comma = false;
    for (array->rank = 0; !take(in, ')'); array->rank++) {
        if (array->rank > 0 && !comma)
            return malformed(in, "a comma");
        if (array->rank == IRN_MAX_RANK)
            return irn_fail(IRN_ERROR_FORMAT, "%s: has more than %d dimensions", in->name,
                            IRN_MAX_RANK);
        IRN_TRY(take_size(in, &array->shape[array->rank]));
        comma = take(in, ',');
        skip_spaces(in);
    }
    /* (3) is a number in Python, (3,) a tuple. */
    return array->rank == 1 && !comma ? malformed(in, "a comma") : IRN_OK;
}

static irn_status take_entry(header *in)
{
    const char *key;
    size_t size;
    IRN_TRY(take_string(in, &key, &size));
    if (!take(in, ':'))
        return malformed(in, "a colon");
    skip_spaces(in);
    static const struct {
        const char *word;
        size_t flag;
        irn_status (*read)(header *);
    } keys[] = {{"descr", offsetof(header, has_type), take_type},
                {"fortran_order", offsetof(header, has_order), take_order},
                {"shape", offsetof(header, has_shape), take_shape}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (size == strlen(keys[i].word) && memcmp(key, keys[i].word, size) == 0) {
            bool *seen = (bool *)((char *)in + keys[i].flag);
            if (*seen)
                return irn_fail(IRN_ERROR_FORMAT, "%s: the NPY header has '%s' twice", in->name,
                                keys[i].word);
            *seen = true;
            return keys[i].read(in);
        }
    char word[IRN_EXCERPT];
    return irn_fail(IRN_ERROR_FORMAT, "%s: the NPY header has an unknown key '%s'", in->name,
                    irn_excerpt(word, key, size));
}

static irn_status take_dictionary(header *in)
{
    if (!take(in, '{'))
        return malformed(in, "{");
    bool comma = true;
    while (!take(in, '}')) {
        if (!comma)
            return malformed(in, "a comma");
        IRN_TRY(take_entry(in));
        comma = take(in, ',');
    }
    skip_spaces(in);
    if (in->at != in->end)
        return malformed(in, "nothing");
    if (!in->has_type || !in->has_order || !in->has_shape)
        return irn_fail(IRN_ERROR_FORMAT, "%s: the NPY header has no '%s'", in->name,
                        !in->has_type    ? "descr"
                        : !in->has_order ? "fortran_order"
                                         : "shape");
    return IRN_OK;
}

/* Finds the header's text; *data is where the values start. */
static irn_status find_header(header *in, const uint8_t *bytes, size_t size, size_t *data)
{
    const size_t short_prefix = MAGIC_SIZE + 4, long_prefix = MAGIC_SIZE + 6;
    if (size < short_prefix || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return irn_fail(IRN_ERROR_FORMAT, "%s: is not an NPY file (%zu bytes)", in->name, size);
    unsigned major = bytes[MAGIC_SIZE], minor = bytes[MAGIC_SIZE + 1];
    if (major < 1 || major > 3 || minor != 0)
        return irn_fail(IRN_ERROR_FORMAT, "%s: NPY version %u.%u; 1.0, 2.0 and 3.0 can be read",
                        in->name, major, minor);
    size_t prefix = major == 1 ? short_prefix : long_prefix, length = 0;
    if (size < prefix)
        return irn_fail(IRN_ERROR_FORMAT, "%s: ends within its NPY header", in->name);
    for (size_t i = prefix; i-- > MAGIC_SIZE + 2;)
        length = length << 8 | bytes[i];
    if (length > HEADER_LIMIT || length > size - prefix)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: an NPY header of %zu bytes; %zu bytes follow and the limit is %d",
                        in->name, length, size - prefix, HEADER_LIMIT);
    in->at = (const char *)bytes + prefix;
    in->end = in->at + length;
    *data = prefix + length;
    return IRN_OK;
}

static irn_status parse(irn_array *out, uint8_t *bytes, size_t size, const char *name)
{
    header in = {.name = name};
    size_t start = 0;
    IRN_TRY(find_header(&in, bytes, size, &start));
    IRN_TRY(take_dictionary(&in));
    size_t count, item = irn_dtype_size(in.array.type), held = size - start;
    char text[IRN_SHAPE_TEXT];
    if (!irn_product(&count, in.array.shape, in.array.rank) || count > held / item ||
        count * item != held)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: shape %s of %s does not fit the %zu bytes of values in the file", name,
                        irn_shape_text(text, in.array.rank, in.array.shape),
                        irn_dtype_name(in.array.type), held);
    /* The values go to the front, where malloc() aligned them, instead of into a second copy. */
    memmove(bytes, bytes + start, held);
    in.array.data = bytes;
    *out = in.array;
    return IRN_OK;
}

irn_status irn_npy_parse(irn_array *out, uint8_t *bytes, size_t size, const char *name)
{
    memset(out, 0, sizeof *out);
    irn_status status = parse(out, bytes, size, name);
    if (status != IRN_OK)
        free(bytes);
    return status;
}

irn_status irn_npy_read(irn_array *out, const char *path)
{
    memset(out, 0, sizeof *out);
    uint8_t *bytes;
    size_t size;
    IRN_TRY(irn_file_read(&bytes, &size, path, IRN_FILE_LIMIT, false));
    return irn_npy_parse(out, bytes, size, path);
}

/* The dictionary with its prefix; NumPy pads with spaces so that the values start at 64. */
static size_t make_header(char out[512], const irn_array *array)
{
    const size_t prefix = MAGIC_SIZE + 4, unit = 64;
    char shape[IRN_SHAPE_TEXT];
    irn_shape_text(shape, array->rank, array->shape);
    shape[strlen(shape) - 1] = '\0';
    int written = snprintf(out + prefix, 512 - prefix,
                           "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                           descriptions[array->type].word, shape + 1, array->rank == 1 ? "," : "");
    size_t used = prefix + (size_t)written, total = (used + 1 + unit - 1) / unit * unit;
    memset(out + used, ' ', total - used);
    out[total - 1] = '\n';
    memcpy(out, MAGIC "\x01\x00", MAGIC_SIZE + 2);
    out[MAGIC_SIZE + 2] = (char)((total - prefix) & 0xff);
    out[MAGIC_SIZE + 3] = (char)((total - prefix) >> 8);
    return total;
}

irn_status irn_npy_write(const irn_array *array, const char *path)
{
    size_t count, bytes;
    IRN_TRY(irn_array_measure(array, &count, &bytes));
    char header_text[512];
    size_t header_size = make_header(header_text, array);
    irn_writer *writer;
    IRN_TRY(irn_writer_open(&writer, path));
    irn_status status = irn_writer_write(writer, header_text, header_size);
    if (status == IRN_OK)
        status = irn_writer_write(writer, array->data, bytes);
    if (status == IRN_OK)
        return irn_writer_commit(writer);
    irn_writer_discard(writer);
    return status;
}
