#include "tensor/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 }; /* elements: 256 bytes, what devices ask at most of buffer regions */

void irn_arena_init(irn_arena *arena, irn_context *context)
{
    memset(arena, 0, sizeof *arena);
    arena->context = context;
}

void irn_arena_free(irn_arena *arena)
{
    free(arena->entries);
    memset(arena, 0, sizeof *arena);
}

static irn_status grow(irn_arena *arena)
{
    if (arena->count < arena->capacity)
        return IRN_OK;
    size_t capacity = arena->capacity ? 2 * arena->capacity : 64;
    irn_entry *entries = realloc(arena->entries, capacity * sizeof *entries);
    if (!entries)
        return irn_fail(IRN_ERROR_MEMORY, "no memory for a table of %zu arrays", capacity);
    arena->entries = entries;
    arena->capacity = capacity;
    return IRN_OK;
}

irn_status irn_arena_add(irn_arena *arena, irn_entry_kind kind, const size_t shape[4], size_t rank,
                         size_t *index, const char *name, ...)
{
    irn_entry entry = {.kind = kind, .rank = rank, .offset = arena->size};
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(entry.name, sizeof entry.name, name, arguments);
    va_end(arguments);
    memcpy(entry.shape, shape, sizeof entry.shape);
    size_t block = arena->context->tuning.channel_block;
    size_t outer = irn_channel_blocks(arena->context, shape[0]);
    size_t inner =
        kind == IRN_ENTRY_KERNEL ? irn_channel_blocks(arena->context, shape[1]) * block : shape[1];
    size_t sizes[5] = {outer, inner, shape[2], shape[3], block};
    if (!irn_product(&entry.size, sizes, 5) || entry.size > SIZE_MAX / 8 - arena->size)
        return irn_fail(IRN_ERROR_MEMORY, "%s of %zu x %zu x %zu x %zu does not fit in memory",
                        entry.name, shape[0], shape[1], shape[2], shape[3]);
    if (entry.size > IRN_MOST_WEIGHTS)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "%s of %zu x %zu x %zu x %zu has %zu values with padding; kernels count at "
                        "most %d",
                        entry.name, shape[0], shape[1], shape[2], shape[3], entry.size,
                        IRN_MOST_WEIGHTS);
    IRN_TRY(grow(arena));
    arena->size += (entry.size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (index)
        *index = arena->count;
    arena->entries[arena->count++] = entry;
    return IRN_OK;
}

irn_status irn_arena_create_buffer(const irn_arena *arena, cl_mem *out)
{
    return irn_memory_create(arena->context, out, arena->size, sizeof(float), true);
}

size_t irn_entry_count(const irn_entry *entry)
{
    return entry->shape[0] * entry->shape[1] * entry->shape[2] * entry->shape[3];
}

/* Where the value with host index i stands in the entry's device order. */
static size_t tensor_index(const irn_entry *entry, size_t block, size_t i)
{
    size_t pixels = entry->shape[1] * entry->shape[2], c = i / pixels, p = i % pixels;
    return (c / block * pixels + p) * block + c % block;
}

/* Where the taps of an (output, input) pair of a kernel are, block * block apart. */
static size_t kernel_index(const irn_entry *entry, size_t block, size_t out, size_t in)
{
    const size_t *s = entry->shape;
    size_t in_blocks = (s[1] + block - 1) / block;
    return ((out / block * in_blocks + in / block) * (s[2] * s[3]) * block + in % block) * block +
           out % block;
}

/* From the host's order to the device's, or back. */
static void reorder(const irn_entry *entry, size_t block, const float *from, float *to,
                    bool to_device)
{
    size_t count = irn_entry_count(entry), taps = entry->shape[2] * entry->shape[3], i = 0;
    if (entry->kind == IRN_ENTRY_TENSOR) {
        for (; i < count; i++) {
            size_t at = tensor_index(entry, block, i);
            to[to_device ? at : i] = from[to_device ? i : at];
        }
        return;
    }
    for (size_t out = 0; out < entry->shape[0]; out++)
        for (size_t in = 0; in < entry->shape[1]; in++) {
            size_t at = kernel_index(entry, block, out, in);
            for (size_t tap = 0; tap < taps; tap++, i++, at += block * block)
                to[to_device ? at : i] = from[to_device ? i : at];
        }
}

irn_status irn_arena_write(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                           const float *values)
{
    float *device;
    IRN_TRY(irn_alloc(&device, entry->size, sizeof *device));
    reorder(entry, arena->context->tuning.channel_block, values, device, true);
    irn_status status = irn_memory_write(arena->context, buffer, entry->offset * sizeof(float),
                                         device, entry->size * sizeof(float));
    free(device);
    return status;
}

irn_status irn_arena_read(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                          float *values)
{
    float *device;
    IRN_TRY(irn_alloc(&device, entry->size, sizeof *device));
    irn_status status = irn_memory_read(arena->context, buffer, entry->offset * sizeof(float),
                                        device, entry->size * sizeof(float));
    if (status == IRN_OK)
        reorder(entry, arena->context->tuning.channel_block, device, values, false);
    free(device);
    return status;
}

irn_status irn_arena_fill(const irn_arena *arena, cl_mem buffer, size_t entry, float value)
{
    const irn_entry *e = &arena->entries[entry];
    float *values;
    IRN_TRY(irn_alloc(&values, irn_entry_count(e), sizeof *values));
    for (size_t i = 0; i < irn_entry_count(e); i++)
        values[i] = value;
    irn_status status = irn_arena_write(arena, buffer, e, values);
    free(values);
    return status;
}

irn_tensor irn_arena_row(const irn_arena *arena, cl_mem buffer)
{
    size_t unit = arena->context->tuning.channel_block;
    return (irn_tensor){arena->context, buffer, 0, IRN_SINGLE, 1, unit, 1, arena->size / unit};
}

irn_tensor irn_entry_tensor(const irn_arena *arena, cl_mem buffer, const irn_entry *entry)
{
    irn_tensor tensor = {arena->context,  buffer,          entry->offset,  IRN_SINGLE, 1,
                         entry->shape[0], entry->shape[1], entry->shape[2]};
    return tensor;
}
