#include "golden.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *golden_path(const char *name)
{
    static char path[1024];
    const char *folder = getenv("IRN_TEST_DATA");
    snprintf(path, sizeof path, "%s/golden/%s", folder ? folder : "tests", name);
    return path;
}

irn_safetensors *golden_open(const char *name)
{
    irn_safetensors *file;
    testing_ok(irn_safetensors_open(&file, golden_path(name)));
    return file;
}

static double *read_named(const irn_safetensors *file, size_t *count, const char *name)
{
    size_t index = irn_safetensors_find(file, name);
    irn_array view;
    ck_assert_msg(index != SIZE_MAX, "no %s in %s", name, irn_safetensors_name(file));
    testing_ok(irn_safetensors_view(file, index, &view));
    *count = irn_array_count(&view);
    double *values = host_doubles(*count);
    testing_ok(irn_safetensors_read_double(file, name, *count, values));
    return values;
}

double *golden_read(const irn_safetensors *file, size_t *count, const char *name, ...)
{
    char text[128];
    size_t unused;
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(text, sizeof text, name, arguments);
    va_end(arguments);
    return read_named(file, count ? count : &unused, text);
}

double golden_number(const irn_safetensors *file, const char *name, ...)
{
    char text[128];
    size_t count;
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(text, sizeof text, name, arguments);
    va_end(arguments);
    double *values = read_named(file, &count, text);
    ck_assert_uint_eq(count, 1);
    return values[0];
}

int *golden_labels(const irn_safetensors *file, size_t *count)
{
    irn_array view;
    testing_ok(irn_safetensors_view(file, irn_safetensors_find(file, "input.labels"), &view));
    ck_assert_int_eq(view.type, IRN_INT64);
    *count = irn_array_count(&view);
    int *labels = (int *)host_floats(*count); /* of the same size */
    for (size_t i = 0; i < *count; i++) {
        int64_t label;
        memcpy(&label, (const char *)view.data + i * sizeof label, sizeof label);
        labels[i] = (int)label;
    }
    return labels;
}

static size_t add(golden_entry *out, size_t count, bool state, size_t entry, const char *prefix,
                  const char *suffix)
{
    ck_assert_uint_lt(count, GOLDEN_MAX_ENTRIES);
    snprintf(out[count].name, sizeof out[count].name, "%s%s", prefix, suffix);
    out[count].state = state;
    out[count].entry = entry;
    return count + 1;
}

size_t golden_entries(const irn_model *model, golden_entry out[GOLDEN_MAX_ENTRIES])
{
    const irn_head *head = &model->head;
    char prefix[64];
    size_t n = 0;
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        for (size_t i = 0; i < model->config.layers; i++) {
            const irn_layer *layer = &block->layers[i];
            snprintf(prefix, sizeof prefix, "stack.%zu.bottleneck_block.%zu.", b,
                     2 * i + (block->first_activation ? 1 : 0));
            n = add(out, n, false, layer->weight, prefix, "weight_orig");
            n = add(out, n, false, layer->bias, prefix, "bias");
            n = add(out, n, true, layer->u, prefix, "weight_u");
            n = add(out, n, true, layer->v, prefix, "weight_v");
        }
        snprintf(prefix, sizeof prefix, "stack.%zu.actnorm.", b);
        if (model->config.actnorm) {
            n = add(out, n, false, block->log_scale, prefix, "_log_scale");
            n = add(out, n, false, block->shift, prefix, "_shift");
        }
    }
    if (!model->config.classes)
        return n;
    n = add(out, n, false, head->gamma, "bn1.", "weight");
    n = add(out, n, false, head->beta, "bn1.", "bias");
    n = add(out, n, false, head->weight, "logits.", "weight");
    n = add(out, n, false, head->bias, "logits.", "bias");
    n = add(out, n, true, head->running_mean, "bn1.", "running_mean");
    return add(out, n, true, head->running_variance, "bn1.", "running_var");
}

double *golden_entry_values(const irn_model *model, const golden_entry *entry, cl_mem buffer,
                            size_t *count)
{
    const irn_arena *arena = entry->state ? &model->state : &model->parameters;
    *count = irn_entry_count(&arena->entries[entry->entry]);
    float *values = host_floats(*count);
    testing_ok(irn_arena_read(arena, buffer, &arena->entries[entry->entry], values));
    return host_widen(values, *count);
}
