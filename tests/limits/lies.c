/* A driver that reports absurd limits: either the program works, within rounding, or a sentence
 * says what the matter is. The shim's driver keeps to the limits that it reports. */
#include "limits.h"
#include "program.h"
#include "shim.h"

#include <stdio.h>
#include <string.h>

enum { MOST_TOLD = 4 };

typedef struct told {
    cl_device_info what;
    uint64_t value;
} told;

typedef struct liar {
    const char *name;
    told lies[MOST_TOLD]; /* up to a zero */
    bool garbled;
    const char *sentence; /* NULL: works all the same; else part of what encode says, or of what
                             decode says where encode works */
} liar;

#define GPU                                                                                        \
    {                                                                                              \
        CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, 1                                                     \
    }

static const liar liars[] = {
    {.name = "no compute unit", .lies = {{CL_DEVICE_MAX_COMPUTE_UNITS, 0}}},
    {.name = "4294967295 compute units",
     .lies = {{CL_DEVICE_MAX_COMPUTE_UNITS, UINT32_MAX}},
     .sentence = "cannot hold"},
    {.name = "allocations of nothing",
     .lies = {{CL_DEVICE_MAX_MEM_ALLOC_SIZE, 0}},
     .sentence = "its largest allocation is 0 bytes"},
    {.name = "allocations of 1000 bytes",
     .lies = {{CL_DEVICE_MAX_MEM_ALLOC_SIZE, 1000}},
     .sentence = "its largest allocation is 1000 bytes"},
    {.name = "allocations of 1 MiB", .lies = {{CL_DEVICE_MAX_MEM_ALLOC_SIZE, 1 << 20}}},
    {.name = "allocations and memory without end",
     .lies = {{CL_DEVICE_MAX_MEM_ALLOC_SIZE, UINT64_MAX}, {CL_DEVICE_GLOBAL_MEM_SIZE, UINT64_MAX}}},
    {.name = "no memory",
     .lies = {{CL_DEVICE_GLOBAL_MEM_SIZE, 0}},
     .sentence = "of 0 bytes are in use"},
    {.name = "less memory than an allocation can have",
     .lies = {{CL_DEVICE_MAX_MEM_ALLOC_SIZE, (uint64_t)1 << 40},
              {CL_DEVICE_GLOBAL_MEM_SIZE, 5 << 20}}},
    {.name = "a GPU with 64 work-items a group",
     .lies = {GPU, {CL_DEVICE_MAX_WORK_GROUP_SIZE, 64}}},
    {.name = "a GPU with 1 work-item a group", .lies = {GPU, {CL_DEVICE_MAX_WORK_GROUP_SIZE, 1}}},
    {.name = "a GPU with groups of nothing", .lies = {GPU, {CL_DEVICE_MAX_WORK_GROUP_SIZE, 0}}},
    {.name = "a GPU without local memory", .lies = {GPU, {CL_DEVICE_LOCAL_MEM_SIZE, 0}}},
    {.name = "no float64", .lies = {{CL_DEVICE_DOUBLE_FP_CONFIG, 0}}, .sentence = "has no float64"},
    {.name = "no images", .lies = {{CL_DEVICE_IMAGE_SUPPORT, 0}}},
    {.name = "a clock that stands", .lies = {{CL_DEVICE_PROFILING_TIMER_RESOLUTION, 0}}},
    {.name = "vectors of 2147483647 floats",
     .lies = {{CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, INT32_MAX}}},
    {.name = "names that are no text", .garbled = true},
};

static void begin(const liar *l)
{
    shim_reset();
    for (size_t i = 0; i < MOST_TOLD && l->lies[i].what; i++)
        shim_lie(l->lies[i].what, l->lies[i].value);
    if (l->garbled)
        shim_garble();
}

/* Works, and the output is what it always is; or fails with the liar's sentence. */
static bool check_run(const liar *l, const char *words, const char *expected)
{
    char where[160];
    program_result result;
    remove("out.npy");
    begin(l);
    program_run(&result, words);
    snprintf(where, sizeof where, "%s: %.40s", l->name, words);
    check_clean(where);
    if (result.status == 0 && expected)
        check(arrays_near("out.npy", expected), "%s: the output is another one", where);
    else if (result.status != 0 && check(l->sentence != NULL, "%s: %s", where, result.errors))
        check_sentence(&result, where, (const char *const[]){l->sentence, NULL});
    return result.status == 0;
}

static void check_liar(const liar *l)
{
    bool works =
        check_run(l, "encode classes.safetensors --in x.npy --out out.npy --quiet", "z.npy");
    works =
        check_run(l, "decode classes.safetensors --in z.npy --out out.npy --errors e.npy --quiet",
                  "x.npy") &&
        works;
    check(works == !l->sentence, "%s: %s", l->name, works ? "works" : "fails");
    works = check_run(l,
                      "train --data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 8 --batch 24 "
                      "--epochs 1 --out run --force --quiet --no-certify",
                      NULL);
    if (works)
        check_run(l, "certify classes.safetensors --json certificate.json --quiet", NULL);
    begin(l);
    program_result verified;
    program_run(&verified, "verify certificate.json classes.safetensors --quiet");
    check(!works || verified.status == 0, "%s: the certificate is refused", l->name);
    check(shim_calls() == 0, "%s: verify uses the device", l->name);
}

/* Only printable ASCII, whatever the names. */
static void check_names(void)
{
    program_result result;
    bool printable = true;
    shim_reset();
    shim_garble();
    program_run(&result, "devices --json");
    for (const char *c = result.output; *c; c++)
        printable = printable && (*c == '\n' || *c == '\t' || (*c >= ' ' && *c <= '~'));
    check(result.status == 0 && printable, "names that are no text: %s", result.output);
}

void limits_lies(void)
{
    shim_reset();
    for (size_t i = 0; i < sizeof liars / sizeof *liars; i++)
        check_liar(&liars[i]);
    check_names();
}
