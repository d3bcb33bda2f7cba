/* Where the taps of a kernel lie along one axis; tap_list.h derives it. */
#ifndef IRN_TAP_AXIS_H
#define IRN_TAP_AXIS_H

#include "spectral/tap_list.h"

typedef struct irn_tap_places {
    size_t taps;
    bool *used;               /* of each tap: it acts */
    size_t *slot, *band;      /* of each used tap: number of its offset, and of its phase */
    size_t slots, bands;      /* how many there are */
    size_t *offsets, *phases; /* by number */
    size_t *counts, most;     /* taps of each offset, and the most of any */
} irn_tap_places;

/* Errors: IRN_ERROR_MEMORY. */
irn_status irn_tap_places_create(irn_tap_places *out, size_t taps);
/* Also accepts a zeroed struct. */
void irn_tap_places_free(irn_tap_places *places);

/* Finds torus and places of the taps, and which of them act; map: the shape's along this axis.
 * Errors: IRN_ERROR_UNSUPPORTED (too many places). */
irn_status irn_tap_places_find(irn_tap_places *places, irn_tap_axis *axis,
                               const irn_kernel_shape *shape, size_t map, const char *name);

#endif
