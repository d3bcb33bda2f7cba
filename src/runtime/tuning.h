#ifndef IRN_TUNING_H
#define IRN_TUNING_H

#include "runtime/runtime.h"

/* The row of the table that fits the device. */
irn_tuning irn_tuning_for(const irn_device_info *device);

#endif
