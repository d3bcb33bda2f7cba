/* The largest architectures, which irn_config_check() refuses to exceed and readers of files name.
 */
#ifndef IRN_CONFIG_LIMITS_H
#define IRN_CONFIG_LIMITS_H

enum {
    IRN_MAX_CHANNELS = 65536,
    IRN_MAX_MAP = 4096, /* height or width */
    IRN_MAX_BLOCKS = 1024,
    IRN_MAX_WIDTH = 16384,
    IRN_MAX_STRIDE = 2,
    IRN_MAX_KERNEL = 31,
    IRN_MAX_CLASSES = 65536,
    IRN_MAX_LEVELS = 65536
};

static const double irn_max_coefficient = 1e6, irn_max_sigma_epsilon = 1;

#endif
