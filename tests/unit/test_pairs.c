/* Combinations of the pairs of a series, as many as CPUs and GPUs hold in registers and more, where
 * GPUs have another way; in place, and from one stream to another. */
#include "devices.h"

#include "runtime/tuning.h"

#include <math.h>
#include <stdio.h>

enum { COMBINE = 1, STORE = 2, SECOND = 4 }; /* logdet.clh */
enum { BLOCKS = 3, MOST = 64 };
static const size_t terms_tested[] = {1, 10, 11, MOST};

typedef struct subject {
    irn_context *context;
    size_t terms, values; /* values of a slot */
    float *w, *tangents, *coefficients;
    cl_mem memory[6]; /* w, a, tangents, saved, second, coefficients */
} subject;

static const float saved = 0.5f; /* of tanh: phi''/phi'^2 = -2 y / (1 - y^2) */
static const double curvature = -4.0 / 3;

static cl_mem upload(irn_context *context, const float *values, size_t count)
{
    cl_mem memory;
    testing_ok(irn_memory_create(context, &memory, count, sizeof(float), true));
    testing_ok(irn_memory_write(context, memory, 0, values, count * sizeof(float)));
    return memory;
}

static float *random_floats(size_t count)
{
    float *values = host_floats(count);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)host_below(2001) / 1000 - 1;
    return values;
}

static void prepare(subject *s)
{
    size_t all = s->terms * s->values;
    float *ones = host_floats(s->values);
    for (size_t i = 0; i < s->values; i++)
        ones[i] = saved;
    s->w = random_floats(all);
    s->tangents = random_floats(all);
    s->coefficients = random_floats(s->terms);
    s->memory[0] = upload(s->context, s->w, all);
    s->memory[1] = upload(s->context, host_floats(all), all);
    s->memory[2] = upload(s->context, s->tangents, all);
    s->memory[3] = upload(s->context, ones, s->values);
    s->memory[4] = upload(s->context, host_floats(s->values), s->values);
    s->memory[5] = upload(s->context, s->coefficients, s->terms);
}

static void combine(const subject *s, bool in_place)
{
    char options[64];
    snprintf(options, sizeof options, "-DREAL=float -DACT=%d -DTERMS=%zu", (int)IRN_TANH, s->terms);
    irn_call call = irn_call_begin(s->context, "common.clh activation.clh logdet.clh logdet.cl",
                                   options, "combine_pairs");
    irn_call_memory(&call, s->memory[0], 0);
    irn_call_memory(&call, s->memory[in_place ? 0 : 1], 0);
    irn_call_memory(&call, s->memory[2], 0);
    irn_call_memory(&call, s->memory[3], 0);
    irn_call_memory(&call, NULL, 0);
    irn_call_memory(&call, s->memory[4], 0);
    irn_call_memory(&call, s->memory[5], 0);
    irn_call_ulong(&call, BLOCKS);
    irn_call_int(&call, COMBINE | STORE | SECOND);
    testing_ok(irn_call_run(&call, 1, 1, 1, s->context->tuning.work_group));
}

static void check(const subject *s, bool in_place)
{
    size_t bytes = s->values * sizeof(float);
    float *a = host_floats(s->terms * s->values), *second = host_floats(s->values);
    testing_ok(irn_memory_read(s->context, s->memory[in_place ? 0 : 1], 0, a, s->terms * bytes));
    testing_ok(irn_memory_read(s->context, s->memory[4], 0, second, bytes));
    for (size_t i = 0; i < s->values; i++) {
        double sum = 0;
        for (size_t j = 0; j < s->terms; j++) {
            double value = 0;
            for (size_t m = 0; m < s->terms - j; m++)
                value += (double)s->coefficients[m + j] * (double)s->w[m * s->values + i];
            host_check_number(value, (double)a[j * s->values + i], 1e-5 * (double)s->terms,
                              "a_%zu of %zu", j, s->terms);
            sum += value * (double)s->tangents[j * s->values + i];
        }
        host_check_number(curvature * sum, (double)second[i], 1e-5 * (double)(s->terms * s->terms),
                          "second of %zu", s->terms);
    }
}

static void check_layout(irn_context *context, size_t terms)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        subject s = {context, terms, (size_t)BLOCKS * context->tuning.channel_block, NULL, NULL,
                     NULL,    {NULL}};
        prepare(&s);
        combine(&s, in_place);
        check(&s, in_place);
        for (size_t i = 0; i < 6; i++)
            irn_memory_release(context, s.memory[i]);
    }
}

/* The device's own layout, and that of GPUs. */
START_TEST(pairs_combine)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < sizeof terms_tested / sizeof *terms_tested; i++)
        check_layout(context, terms_tested[i]);
    context->info.channel_block = 4;
    context->info.is_simt = true;
    context->tuning = irn_tuning_for(&context->info);
    irn_programs_free(context);
    for (size_t i = 0; i < sizeof terms_tested / sizeof *terms_tested; i++)
        check_layout(context, terms_tested[i]);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pairs");
    TCase *test = devices_case(suite, "combine");
    devices_add(test, pairs_combine);
    return testing_run(suite);
}
