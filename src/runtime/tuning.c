/* Which specialisation suits which kind of device. CPU rows were measured with `iresnet bench conv`
 * on PoCL; the GPU row is the largest that the vendors' compilers take without spilling. */
#include "runtime/tuning.h"

irn_tuning irn_tuning_for(const irn_device_info *device)
{
    if (device->is_simt)
        return (irn_tuning){.channel_block = 4,
                            .work_group = 64,
                            .tile_float = 4,
                            .tile_double = 2,
                            .output_blocks = 2,
                            .gradient_inputs = 4,
                            .gradient_blocks = 2};
    if (device->channel_block == 16)
        return (irn_tuning){.channel_block = 16,
                            .work_group = 1,
                            .tile_float = 8,
                            .tile_double = 4,
                            .output_blocks = 2,
                            .gradient_inputs = 16,
                            .gradient_blocks = 1};
    return (irn_tuning){.channel_block = 8,
                        .work_group = 1,
                        .tile_float = 5,
                        .tile_double = 2,
                        .output_blocks = 2,
                        .gradient_inputs = 8,
                        .gradient_blocks = 1};
}
