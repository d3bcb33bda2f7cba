/* What the forms of a convolution (conv.c, pointwise.c, winograd.c) have in common on the host. */
#ifndef IRN_APPLICATION_H
#define IRN_APPLICATION_H

#include "ops/conv.h"

/* The bits of epilogue.clh. */
enum { IRN_CONV_WRAP = 32 };

/* Pixels that a work-item computes at a time. */
size_t irn_application_tile(const irn_context *context, irn_precision precision);

/* The options that all these kernels are built with. */
enum { IRN_APPLICATION_OPTIONS = 128 };
void irn_application_options(char options[IRN_APPLICATION_OPTIONS], const irn_context *context,
                             irn_precision precision, irn_activation activation);

/* Kernels count pixels and elements of a tensor in ints. */
irn_status irn_application_check(const irn_tensor *x, const irn_tensor *y);

/* How many channels the last of the blocks has, rounded up to 4. */
size_t irn_application_last(const irn_context *context, size_t channels);

/* The flags of epilogue.clh for y = epilogue(W x). */
size_t irn_application_flags(const irn_conv *conv, const irn_epilogue *epilogue,
                             const irn_tensor *x, const irn_tensor *y);

/* The arguments that all these kernels begin with: x, weights and the epilogue's operands, y. */
void irn_application_arguments(irn_call *call, const irn_tensor *x, irn_place weights,
                               const irn_epilogue *epilogue, const irn_tensor *y);

#endif
