/* Models in safetensors files; checkpoints add to them. */
#ifndef IRN_MODEL_FILE_H
#define IRN_MODEL_FILE_H

#include "flow/model.h"
#include "io/safetensors.h"

/* Adds an arena's buffer, entry by entry, under "<prefix><entry name>". */
irn_status irn_arena_add_to_file(const irn_arena *arena, cl_mem buffer, const char *prefix,
                                 irn_safetensors_writer *writer);
/* Reads one entry from the tensor `name`, which must have the entry's shape and finite values. */
irn_status irn_entry_read_from_file(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                                    const char *name, const irn_safetensors *file);
/* Refuses a negative value in what was read from the tensor `name`. */
irn_status irn_entry_refuse_negative(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                                     const char *name, const irn_safetensors *file);
/* Reads all back; every value must be there and finite. */
irn_status irn_arena_read_from_file(const irn_arena *arena, cl_mem buffer, const char *prefix,
                                    const irn_safetensors *file);

/* Parameters, state and configuration. */
irn_status irn_model_add_to_file(irn_model *model, irn_safetensors_writer *writer);
irn_status irn_model_read_from_file(irn_model **out, irn_context *context,
                                    const irn_safetensors *file);

#endif
