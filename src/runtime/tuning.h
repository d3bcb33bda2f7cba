/* The table of device classes, and the tiles that tuning may choose on each. */
#ifndef IRN_TUNING_H
#define IRN_TUNING_H

#include "runtime/runtime.h"

/* The row of the table that fits the device, with tiles that it has room for. */
irn_tuning irn_tuning_for(const irn_device_info *device);

/* Words for the device's class; static storage. */
const char *irn_tuning_class(const irn_device_info *device);

/* The k-th tile that the device may have for a use; false: there are not so many. */
bool irn_tile_candidate(irn_tile *out, const irn_device_info *device, irn_tile_use use, size_t k);

/* Takes a tile for a use. */
void irn_tuning_set(irn_tuning *tuning, irn_tile_use use, const irn_tile *tile);
/* Whichever of a family's tiles a convolution would get, it gets this one; of CLBlast's, where it
 * can, CLBlast. */
void irn_tuning_force(irn_tuning *tuning, irn_tile_use use, const irn_tile *tile);

/* ---- as text, "apply=64x8x2x1" ---- */

/* A use's name; static storage. */
const char *irn_tile_use_name(irn_tile_use use);
/* "64x8x2x1". Returns out. */
#define IRN_TILE_TEXT 48
const char *irn_tile_text(char out[IRN_TILE_TEXT], const irn_tile *tile);

/* Takes the choices in a text of them with spaces or line ends between; all have to be candidates
 * of the device, or nothing changes. Errors: IRN_ERROR_FORMAT, naming `source`. */
irn_status irn_tuning_read(irn_tuning *tuning, const irn_device_info *device, const char *text,
                           const char *source);

/* ---- tuning_file.c ---- */

/* Where the choices measured on the device of the context stand: by its platform, name and driver,
 * in the folder of compiled kernels. Errors: IRN_ERROR_FILE without such a folder. */
irn_status irn_tuning_path(char *path, size_t size, const irn_context *context);

/* Takes over what was remembered, if it can be used, and then what the environment's IRN_TUNING
 * says; CLBlast with parameters only if the context may set them, which is logged. Errors:
 * IRN_ERROR_ARGUMENT for IRN_TUNING alone; a file that is not as it should be is only logged. */
irn_status irn_tuning_load(irn_context *context);

/* Writes the context's tiles. Errors: IRN_ERROR_FILE. */
irn_status irn_tuning_store(const irn_context *context);

#endif
