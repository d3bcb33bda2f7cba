/* The eight point sets in the plane on which flows are usually shown (Grathwohl et al. 2019, Chen
 * et al. 2019): known supports, and for two of them a known entropy. */
#include "data/dataset.h"

#include "base/philox.h"

#include <math.h>
#include <string.h>

enum { TRAIN_COUNT = 20000, TEST_COUNT = 10000, NAMES_SIZE = 128 };

static const double pi = 3.14159265358979323846;

/* What a point is made of: numbers in [0, 1) and standard normal ones. */
typedef struct draw {
    double uniform[4], normal[2];
} draw;

typedef void (*sampler)(double point[2], const draw *from);

/* One of `count` equally likely cases. */
static int choose(double uniform, int count)
{
    return (int)(uniform * count);
}

static void on_circle(double point[2], double radius, double angle)
{
    point[0] = radius * cos(angle);
    point[1] = radius * sin(angle);
}

static void add_noise(double point[2], const draw *from, double deviation)
{
    point[0] += deviation * from->normal[0];
    point[1] += deviation * from->normal[1];
}

/* Eight normal clouds of deviation 0.5 around a circle of radius 4, all divided by 1.414. */
static void gaussians_8(double point[2], const draw *from)
{
    on_circle(point, 4, choose(from->uniform[0], 8) * pi / 4);
    add_noise(point, from, 0.5);
    point[0] /= 1.414;
    point[1] /= 1.414;
}

/* Archimedean, one and a half turns, the second arm opposite the first; the root spreads the points
 * evenly along them. */
static void spirals_2(double point[2], const draw *from)
{
    double turn = 3 * pi * sqrt(from->uniform[0]), sign = choose(from->uniform[1], 2) ? -1 : 1;
    point[0] = sign * (0.5 * from->uniform[2] - turn * cos(turn)) / 3;
    point[1] = sign * (0.5 * from->uniform[3] + turn * sin(turn)) / 3;
    add_noise(point, from, 0.1);
}

/* Those 8 of the 16 squares of side 2 in [-4, 4]^2 whose column and row are both even or both odd:
 * a uniform density on an area of 32. */
static void checkerboard(double point[2], const draw *from)
{
    int column = choose(from->uniform[0], 4), row = 2 * choose(from->uniform[1], 2) + column % 2;
    point[0] = 2 * (column + from->uniform[2]) - 4;
    point[1] = 2 * (row + from->uniform[3]) - 4;
}

/* Radii 3 and 1.5. */
static void circles(double point[2], const draw *from)
{
    on_circle(point, choose(from->uniform[0], 2) ? 3 : 1.5, 2 * pi * from->uniform[1]);
    add_noise(point, from, 0.24);
}

/* An upper half circle and a lower one that reach into each other. */
static void moons(double point[2], const draw *from)
{
    on_circle(point, 2, pi * from->uniform[1]);
    if (choose(from->uniform[0], 2)) {
        point[0] = 2 - point[0];
        point[1] = 1 - point[1];
    }
    add_noise(point, from, 0.2);
    point[0] -= 1;
    point[1] -= 0.2;
}

/* Five long normal clouds at distance 2, each turned further the farther out its points are. */
static void pinwheel(double point[2], const draw *from)
{
    double along = 1 + 0.3 * from->normal[0], across = 0.1 * from->normal[1];
    double angle = choose(from->uniform[0], 5) * 2 * pi / 5 + 0.25 * exp(along);
    point[0] = 2 * (along * cos(angle) + across * sin(angle));
    point[1] = 2 * (across * cos(angle) - along * sin(angle));
}

/* Radii 0.75, 1.5, 2.25 and 3. */
static void rings(double point[2], const draw *from)
{
    on_circle(point, 0.75 * (1 + choose(from->uniform[0], 4)), 2 * pi * from->uniform[1]);
    add_noise(point, from, 0.08);
}

/* One spiral of one and a half turns from radius 0.94 to 2.83. */
static void swissroll(double point[2], const draw *from)
{
    double turn = 1.5 * pi * (1 + 2 * from->uniform[0]);
    on_circle(point, turn / 5, turn);
    add_noise(point, from, 0.2);
}

static const struct {
    const char *name;
    sampler sample;
} sets[] = {{"8gaussians", gaussians_8},
            {"2spirals", spirals_2},
            {"checkerboard", checkerboard},
            {"circles", circles},
            {"moons", moons},
            {"pinwheel", pinwheel},
            {"rings", rings},
            {"swissroll", swissroll}};

enum { SET_COUNT = sizeof sets / sizeof *sets };

/* Two counters a point: the bits of the uniform numbers, then those of the normal ones. */
static void make_draw(draw *out, uint64_t substream, uint64_t point)
{
    uint32_t bits[4];
    irn_philox(bits, 0, IRN_STREAM_TOY, substream, 2 * point);
    for (int i = 0; i < 4; i++)
        out->uniform[i] = bits[i] * 0x1p-32;
    irn_philox(bits, 0, IRN_STREAM_TOY, substream, 2 * point + 1);
    irn_normal_pair(out->normal, bits);
}

static void fill(float *points, size_t count, size_t set, irn_split split)
{
    uint64_t substream = 2 * set + (split == IRN_TEST);
    for (size_t i = 0; i < count; i++) {
        draw from;
        double point[2];
        make_draw(&from, substream, i);
        sets[set].sample(point, &from);
        points[2 * i] = (float)point[0];
        points[2 * i + 1] = (float)point[1];
    }
}

static irn_status no_such_set(const char *name)
{
    char names[NAMES_SIZE] = "";
    for (size_t i = 0; i < SET_COUNT; i++) {
        strcat(names, i ? ", " : "");
        strcat(names, sets[i].name);
    }
    return irn_fail(IRN_ERROR_ARGUMENT, "\"toy:%s\" is not a data set; toy: has %s", name, names);
}

irn_status irn_open_toy(irn_dataset *set, const char *name, irn_split split)
{
    size_t which = 0, count = split == IRN_TRAIN ? TRAIN_COUNT : TEST_COUNT;
    while (which < SET_COUNT && strcmp(name, sets[which].name) != 0)
        which++;
    if (which == SET_COUNT)
        return no_such_set(name);
    IRN_TRY(irn_dataset_set_shape(set, count, 2, 1, 1, name));
    IRN_TRY(irn_alloc(&set->storage, 2 * count, sizeof(float)));
    set->floats = set->storage;
    fill(set->storage, count, which, split);
    return IRN_OK;
}
