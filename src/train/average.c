/* The exponential moving average of the parameters in their place: for a test, or for good. */
#include "ops/elementwise.h"
#include "train/trainer.h"

/* Before the first step the average is of nothing. */
static bool averages(const irn_trainer *trainer)
{
    return trainer->average && trainer->step > 0;
}

static void exchange(irn_trainer *trainer)
{
    irn_model *model = trainer->model;
    cl_mem average = trainer->average;
    trainer->average = model->single.parameters;
    model->single.parameters = average;
    irn_model_changed(model);
}

static irn_status copy_state(const irn_model *model, cl_mem from, cl_mem to)
{
    return irn_memory_copy(model->context, from, 0, to, 0, model->state.size * sizeof(float));
}

irn_status irn_average_begin(irn_trainer *trainer)
{
    enum { ITERATIONS = 20 }; /* from the vectors of weights that are not far off */
    irn_model *model = trainer->model;
    if (!averages(trainer))
        return IRN_OK;
    if (!trainer->state)
        IRN_TRY(irn_arena_create_buffer(&model->state, &trainer->state));
    IRN_TRY(copy_state(model, model->single.state, trainer->state));
    exchange(trainer);
    irn_status status = irn_model_power_iterate(model, ITERATIONS);
    if (status != IRN_OK)
        irn_average_end(trainer);
    return status;
}

irn_status irn_average_end(irn_trainer *trainer)
{
    irn_model *model = trainer->model;
    if (!averages(trainer))
        return IRN_OK;
    exchange(trainer);
    return copy_state(model, trainer->state, model->single.state);
}

irn_status irn_average_take(irn_trainer *trainer)
{
    irn_model *model = trainer->model;
    if (!averages(trainer))
        return IRN_OK;
    irn_model_changed(model);
    irn_tensor from = irn_arena_row(&model->parameters, trainer->average);
    irn_tensor to = irn_arena_row(&model->parameters, model->single.parameters);
    return irn_tensor_copy(&from, &to);
}
