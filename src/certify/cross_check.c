#include "certify/cross_check.h"

#include <math.h>

/* Singular values are right to 1e-10 of the largest (irn_singular_values()). */
static const double tolerance = 1e-9;

static irn_status group_norm(irn_spectrum *spectrum, const irn_tap_list *list, size_t group,
                             double *norm)
{
    irn_tap_list one = *list;
    size_t frequency;
    one.values += group * list->count * list->outputs * list->inputs;
    return irn_spectrum_norm(spectrum, &one, norm, &frequency);
}

/* In the list's units. */
static irn_status symbol_norm(irn_spectrum *spectrum, const irn_tap_list *list, double *norm)
{
    *norm = 0;
    for (size_t group = 0; list->count > 0 && group < list->groups; group++) {
        double value;
        IRN_TRY(group_norm(spectrum, list, group, &value));
        *norm = value > *norm || isnan(value) ? value : *norm;
    }
    return IRN_OK;
}

static irn_status compare(const irn_bound_job *job, const irn_tap_list *list, double norm)
{
    double slack = tolerance * norm + list->error;
    double most = ldexp(norm + slack, list->exponent), least = ldexp(norm - slack, list->exponent);
    /* The largest norm on a grid for maps of every size need not be the supremum. */
    bool lower = job->shape.height == 0 || job->bound.lower <= most;
    bool upper = job->proof.method == IRN_PROOF_OPERATOR || least <= job->bound.upper;
    if (lower && upper)
        return IRN_OK;
    return irn_fail(IRN_ERROR_DEVICE,
                    "%s: its norm was proven to be in [%.17g, %.17g], and the largest singular "
                    "value on its torus of %zux%zu is %.17g: one of them was computed wrongly",
                    job->name, job->bound.lower, job->bound.upper, list->axes[0].torus,
                    list->axes[1].torus, ldexp(norm, list->exponent));
}

irn_status irn_cross_check(irn_spectrum *spectrum, const irn_bound_job *job)
{
    irn_tap_list list;
    double norm;
    IRN_TRY(irn_tap_list_create(&list, job->kernel, &job->shape, job->name));
    for (int axis = 0; axis < 2; axis++)
        list.axes[axis].shift = job->proof.shifted[axis] ? 1 : 0;
    irn_status status = symbol_norm(spectrum, &list, &norm);
    if (status == IRN_OK)
        status = compare(job, &list, norm);
    irn_tap_list_free(&list);
    return status;
}
