/* The standalone half of fuzz_parsers.c, which includes it: seeds, mutations, main. */
#define INPUT_LIMIT 8192

typedef struct input {
    uint8_t bytes[INPUT_LIMIT];
    size_t size;
} input;

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t limit)
{
    return limit > 0 ? (size_t)(next_random(state) % limit) : 0;
}

static void put(input *in, const void *bytes, size_t size)
{
    if (size > INPUT_LIMIT - in->size)
        size = INPUT_LIMIT - in->size;
    memcpy(in->bytes + in->size, bytes, size);
    in->size += size;
}

static void put_zeros(input *in, size_t size)
{
    static const uint8_t zeros[INPUT_LIMIT];
    put(in, zeros, size);
}

static void put_safetensors(input *in, const char *json, size_t data)
{
    uint8_t prefix[8] = {(uint8_t)strlen(json), (uint8_t)(strlen(json) >> 8)};
    put(in, prefix, sizeof prefix);
    put(in, json, strlen(json));
    put_zeros(in, data);
}

static void put_npy(input *in, const char *dictionary, size_t data)
{
    uint8_t prefix[10] = "\x93NUMPY\x01\x00";
    prefix[8] = (uint8_t)strlen(dictionary);
    put(in, prefix, sizeof prefix);
    put(in, dictionary, strlen(dictionary));
    put_zeros(in, data);
}

/* A certificate of a model, or of weights, with the hash that it should have or another. */
static void put_certificate(input *in, unsigned kind)
{
    irn_certificate *certificate;
    char *text = NULL;
    irn_layer_bound layer = {.name = "blocks.0.conv0",
                             .shape = {2, 3, 3, 3, 8, 8, IRN_PAD_ZEROS, 1, 1, 1, false},
                             .scale = 0.5,
                             .bound = {0.25, 0.375},
                             .kernel_upper = 0.75,
                             .proof = {.method = IRN_PROOF_SYMBOL,
                                       .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64,
                                       .torus = {9, 9}}};
    irn_block_bound block = irn_block_bound_of("blocks.0", 0.375, 128);
    irn_weights_options weights = IRN_WEIGHTS_OPTIONS_INIT;
    weights.pattern = kind % 3 ? "blocks*" : NULL;
    require(irn_certificate_create(&certificate, NULL, 1, 1) == IRN_OK, "no memory");
    certificate->of_model = kind % 2;
    require(irn_certificate_set_weights(certificate, &weights) == IRN_OK &&
                irn_certificate_add_layer(certificate, &layer) == IRN_OK &&
                irn_certificate_add_block(certificate, &block) == IRN_OK,
            "no memory");
    irn_certificate_judge(certificate);
    require(irn_certificate_text(&text, certificate, "00ff") == IRN_OK, "no memory");
    put(in, text, strlen(text));
    free(text);
    irn_certificate_free(certificate);
}

/* A valid file for each parser, in a few kinds. */
static void make_seed(input *in, unsigned parser, unsigned kind)
{
    static const char two_tensors[] =
        "{\"__metadata__\":{\"format\":\"iresnet\",\"b\":\"\\u00e9\"},\"w\":{\"dtype\":\"F32\","
        "\"shape\":[2,3],\"data_offsets\":[0,24]},\"n\":{\"dtype\":\"I64\",\"shape\":[],"
        "\"data_offsets\":[24,32]}}  ";
    static const char one_empty[] =
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[1,1,4],\"data_offsets\":[0,32]},\"e\":{\"dtype\":"
        "\"U8\",\"shape\":[0,9],\"data_offsets\":[32,32]}}";
    static const char unreadable[] =
        "{\"h\":{\"dtype\":\"BF16\",\"shape\":[8,2],\"data_offsets\":[0,32]}}";
    static const char *const headers[3] = {two_tensors, one_empty, unreadable};
    static const char *const dictionaries[3] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }      \n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 2, 4), } \n",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (4,), }\n"};
    static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4},
                         labels[] = {0, 0, 8, 1, 0, 0, 0, 32};
    /* gzip of 200 times 'a'. */
    static const uint8_t packed[] = {0x1f, 0x8b, 8,    0,    0,    0,    0, 0,
                                     2,    0xff, 0x4b, 0x4c, 0x1c, 0x1e, 0, 0,
                                     0x58, 0xf0, 0x9a, 0x59, 0xc8, 0,    0, 0};
    const uint8_t selector = (uint8_t)parser;
    in->size = 0;
    put(in, &selector, 1);
    if (parser == SAFETENSORS)
        put_safetensors(in, headers[kind % 3], 32);
    else if (parser == IDX) {
        put(in, kind % 2 ? images : labels, kind % 2 ? sizeof images : sizeof labels);
        put_zeros(in, 32);
    } else if (parser == CIFAR10 || parser == CIFAR100)
        put_zeros(in, (parser == CIFAR10 ? 3073u : 3074u) * (1 + kind % 2));
    else if (parser == CERTIFICATE)
        put_certificate(in, kind);
    else if (parser == GZIP)
        put(in, packed, sizeof packed);
    else
        put_npy(in, dictionaries[kind % 3], 32);
}

/* Moves what is after `at` and leaves a gap, or closes one. */
static void resize(input *in, size_t at, size_t removed, size_t added, uint64_t *state)
{
    size_t tail = in->size - at - removed;
    if (in->size - removed + added > INPUT_LIMIT)
        return;
    memmove(in->bytes + at + added, in->bytes + at + removed, tail);
    for (size_t i = 0; i < added; i++)
        in->bytes[at + i] = (uint8_t)next_random(state);
    in->size = at + added + tail;
}

static void mutate(input *in, uint64_t *state)
{
    static const char *const words[] = {"\xff\xff\xff\xff",
                                        "-1",
                                        "0",
                                        "1e308",
                                        "99999999999999999999",
                                        "[",
                                        "{\"",
                                        "\"",
                                        ",",
                                        "\\u0000",
                                        "4294967296",
                                        "9007199254740993",
                                        "()",
                                        "'",
                                        "\"dtype\":\"U8\"",
                                        "__metadata__"};
    /* The front has the structure, so half of all changes go there. */
    size_t range = next_random(state) % 2 && in->size > 256 ? 256 : in->size;
    size_t at = 1 + below(state, range > 1 ? range - 1 : 1), left = in->size - at;
    if (at >= in->size)
        return;
    const char *word = words[below(state, sizeof words / sizeof *words)];
    switch (next_random(state) % 8) {
    case 0:
        in->bytes[at] ^= (uint8_t)(1u << below(state, 8));
        break;
    case 1:
        in->bytes[at] = (uint8_t)next_random(state);
        break;
    case 2:
        in->bytes[at] = (uint8_t)('0' + below(state, 10));
        break;
    case 3:
        resize(in, at, 0, strlen(word), state);
        memcpy(in->bytes + at, word, strlen(word) <= left ? strlen(word) : 0);
        break;
    case 4:
        memcpy(in->bytes + at, word, strlen(word) <= left ? strlen(word) : 0);
        break;
    case 5:
        resize(in, at, below(state, left < 16 ? left : 16), 0, state);
        break;
    case 6:
        resize(in, at, 0, 1 + below(state, 16), state);
        break;
    default:
        if (next_random(state) % 4 == 0)
            in->size = at;
        else
            memmove(in->bytes + 1 + below(state, at), in->bytes + at, left < 32 ? left / 2 : 16);
    }
}

static void fuzz(unsigned long long rounds, uint64_t seed)
{
    uint64_t state = seed;
    for (unsigned long long i = 0; i < rounds; i++) {
        input in;
        make_seed(&in, (unsigned)below(&state, PARSERS), (unsigned)below(&state, 6));
        /* One in 16 stays valid. */
        for (size_t changes = below(&state, 16); changes > 0; changes = changes / 2)
            mutate(&in, &state);
        uint8_t *exact = copy_of(in.bytes, in.size);
        LLVMFuzzerTestOneInput(exact, in.size);
        free(exact);
    }
}

static int replay(const char *path)
{
    uint8_t *bytes;
    size_t size;
    if (irn_file_read(&bytes, &size, path, (size_t)1 << 30, false) != IRN_OK) {
        fprintf(stderr, "fuzz_parsers: %s\n", irn_last_error());
        return EXIT_FAILURE;
    }
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return EXIT_SUCCESS;
}

int main(int count, char **arguments)
{
    unsigned long long rounds = 100000, seed = 1;
    int at = 1, failed = 0;
    for (; at + 1 < count && arguments[at][0] == '-'; at += 2) {
        char *end;
        unsigned long long value = strtoull(arguments[at + 1], &end, 10);
        bool is_rounds = strcmp(arguments[at], "-n") == 0;
        if (*end || (!is_rounds && strcmp(arguments[at], "-s") != 0)) {
            fprintf(stderr, "usage: fuzz_parsers [-n ROUNDS] [-s SEED] [FILE...]\n");
            return 2;
        }
        *(is_rounds ? &rounds : &seed) = value;
    }
    if (at < count) {
        for (; at < count; at++)
            failed |= replay(arguments[at]);
        return failed;
    }
    printf("fuzz_parsers: %llu rounds, seed %llu\n", rounds, seed);
    fflush(stdout);
    fuzz(rounds, seed);
    return EXIT_SUCCESS;
}
