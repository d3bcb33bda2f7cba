/* IDX, the format of MNIST: two zero bytes, a type (8: unsigned bytes), the number of dimensions,
 * big-endian sizes, values. Its users are here too: digits, mnist:DIR and idx:IMAGES[,LABELS].
 */
#include "data/dataset.h"

#include "base/embedded.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Of a file, after inflation: 1.3 million images like MNIST's. */
#define IDX_LIMIT ((size_t)1 << 30)
#define NAME_SIZE 64 /* the names below, packed */
#define MAX_SIZES 3

/* Reads a header of exactly rank sizes; *start is where the values are, exactly as many as the
 * sizes say. */
static irn_status read_header(size_t *sizes, size_t rank, size_t *start, const uint8_t *bytes,
                              size_t size, const char *name)
{
    size_t header = 4 + 4 * rank, total;
    if (size < header || bytes[0] != 0 || bytes[1] != 0 || bytes[2] != 8 || bytes[3] != rank)
        return irn_fail(
            IRN_ERROR_FORMAT,
            "%s: is not an IDX file of %zu-dimensional unsigned bytes (it has %zu bytes "
            "and does not begin with 00 00 08 0%zu)",
            name, rank, size, rank);
    for (size_t i = 0; i < rank; i++) {
        const uint8_t *at = bytes + 4 + 4 * i;
        sizes[i] = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    }
    if (!irn_product(&total, sizes, rank) || total != size - header)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: the IDX header announces %zu x %zu x %zu bytes, but %zu follow", name,
                        sizes[0], rank > 1 ? sizes[1] : 1, rank > 2 ? sizes[2] : 1, size - header);
    *start = header;
    return IRN_OK;
}

irn_status irn_idx_images(irn_dataset *set, uint8_t *bytes, size_t size, const char *name)
{
    size_t sizes[MAX_SIZES], start = 0;
    irn_status status = read_header(sizes, 3, &start, bytes, size, name);
    if (status == IRN_OK)
        status = irn_dataset_set_shape(set, sizes[0], 1, sizes[1], sizes[2], name);
    if (status != IRN_OK) {
        free(bytes);
        return status;
    }
    set->storage = bytes;
    set->bytes = bytes + start;
    return IRN_OK;
}

irn_status irn_idx_labels(irn_dataset *set, const uint8_t *bytes, size_t size, size_t classes,
                          const char *name)
{
    size_t count, start = 0;
    IRN_TRY(read_header(&count, 1, &start, bytes, size, name));
    if (count != set->info.count)
        return irn_fail(IRN_ERROR_FORMAT, "%s: %zu labels for %zu images", name, count,
                        set->info.count);
    size_t largest = 0;
    IRN_TRY(irn_alloc(&set->labels, count, sizeof *set->labels));
    for (size_t i = 0; i < count; i++) {
        unsigned label = bytes[start + i];
        if (classes > 0 && label >= classes)
            return irn_fail(IRN_ERROR_FORMAT, "%s: label %zu is %u, the limit is %zu", name, i,
                            label, classes - 1);
        set->labels[i] = (int)label;
        largest = label > largest ? label : largest;
    }
    set->info.classes = classes > 0 ? classes : largest + 1;
    return IRN_OK;
}

/* labels "": none. */
static irn_status open_pair(irn_dataset *set, const char *images, const char *labels,
                            size_t classes)
{
    uint8_t *bytes;
    size_t size;
    IRN_TRY(irn_file_read(&bytes, &size, images, IDX_LIMIT, true));
    IRN_TRY(irn_idx_images(set, bytes, size, images));
    if (labels[0] == '\0')
        return IRN_OK;
    IRN_TRY(irn_file_read(&bytes, &size, labels, IDX_LIMIT, true));
    irn_status status = irn_idx_labels(set, bytes, size, classes, labels);
    free(bytes);
    return status;
}

irn_status irn_open_idx(irn_dataset *set, const char *paths, irn_split split)
{
    (void)split;
    char *images, *labels;
    IRN_TRY(irn_split_paths(&images, &labels, paths));
    irn_status status = open_pair(set, images, labels, 0);
    free(images);
    return status;
}

static void packed_name(char out[NAME_SIZE], const char *name)
{
    snprintf(out, NAME_SIZE, "%s.gz", name);
}

/* NAME in the folder, or NAME.gz if only that is there. */
static irn_status find_file(char **out, const char *folder, const char *name)
{
    char packed[NAME_SIZE];
    struct stat about;
    IRN_TRY(irn_join_path(out, folder, name));
    if (stat(*out, &about) == 0)
        return IRN_OK;
    free(*out);
    packed_name(packed, name);
    IRN_TRY(irn_join_path(out, folder, packed));
    if (stat(*out, &about) == 0)
        return IRN_OK;
    free(*out);
    *out = NULL;
    return irn_fail(IRN_ERROR_FILE, "%s: there is neither %s nor %s in it", folder, name, packed);
}

static const char *const names[2][2] = {
    {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
    {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
};

irn_status irn_open_mnist(irn_dataset *set, const char *folder, irn_split split)
{
    const char *const *pair = names[split == IRN_TEST];
    char *images = NULL, *labels = NULL;
    irn_status status = find_file(&images, folder, pair[0]);
    if (status == IRN_OK)
        status = find_file(&labels, folder, pair[1]);
    if (status == IRN_OK)
        status = open_pair(set, images, labels, 10);
    free(images);
    free(labels);
    return status;
}

static irn_status inflate_embedded(uint8_t **bytes, size_t *size, const char *name)
{
    char packed[NAME_SIZE];
    packed_name(packed, name);
    const irn_embedded *file = irn_embedded_find(packed);
    if (!file)
        return irn_fail(IRN_ERROR_UNSUPPORTED, "this build has no bundled %s", packed);
    return irn_gzip_inflate(bytes, size, file->bytes, file->size, IDX_LIMIT, packed);
}

irn_status irn_open_digits(irn_dataset *set, const char *text, irn_split split)
{
    const char *const *pair = names[split == IRN_TEST];
    if (text[0] != '\0')
        return irn_fail(IRN_ERROR_ARGUMENT, "\"digits%s\" is not a data set; \"digits\" is", text);
    uint8_t *bytes;
    size_t size;
    IRN_TRY(inflate_embedded(&bytes, &size, pair[0]));
    IRN_TRY(irn_idx_images(set, bytes, size, "bundled images"));
    IRN_TRY(inflate_embedded(&bytes, &size, pair[1]));
    irn_status status = irn_idx_labels(set, bytes, size, 10, "bundled labels");
    free(bytes);
    return status;
}
