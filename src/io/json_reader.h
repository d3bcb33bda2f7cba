/* JSON objects read strictly, with sentences that name file, key, value and what is allowed. */
#ifndef IRN_JSON_READER_H
#define IRN_JSON_READER_H

#include "base/base.h"

#include <cjson/cJSON.h>

/* Reading goes on after the first failure, which sticks, so that fields are listed without tests;
 * a field that is refused keeps its value. */
typedef struct irn_json_reader {
    cJSON *json;
    const char *file, *what; /* for sentences: "config.json: option 'eps' is ..." */
    irn_status status;
} irn_json_reader;

/* Parses a text that must be one object. Also after a failure, which sticks, close it. */
void irn_json_open(irn_json_reader *reader, const char *text, const char *file, const char *what);
/* Frees, and returns the first failure: IRN_ERROR_FORMAT for all of these. */
irn_status irn_json_close(irn_json_reader *reader);

/* Records that a field is missing, or that its value is not what is allowed. */
void irn_json_refuse(irn_json_reader *reader, const char *key, const char *allowed);

/* Refuses fields that are not in a list that NULL ends, and those that stand twice. */
void irn_json_only(irn_json_reader *reader, const char *const *keys);

/* Limits are inclusive. */
void irn_json_size(irn_json_reader *reader, const char *key, size_t low, size_t high, size_t *out);
void irn_json_number(irn_json_reader *reader, const char *key, double low, double high,
                     double *out);
/* The same, null standing for a value of its own. */
void irn_json_number_or_null(irn_json_reader *reader, const char *key, double low, double high,
                             double null, double *out);
/* A text, which stays the reader's; *out is "" if it is none. */
void irn_json_text(irn_json_reader *reader, const char *key, const char **out);
/* A list, which stays the reader's; NULL if it is none. */
const cJSON *irn_json_list(irn_json_reader *reader, const char *key);
void irn_json_bool(irn_json_reader *reader, const char *key, bool *out);
/* A list of `count` of them. */
void irn_json_bools(irn_json_reader *reader, const char *key, bool *out, size_t count);

/* A list of sizes. *count: how many there must be, or 0 for 1 to most, and then how many they are.
 */
void irn_json_sizes(irn_json_reader *reader, const char *key, size_t low, size_t high, size_t *out,
                    size_t *count, size_t most);

/* The index of a word in a list that NULL ends. */
void irn_json_word(irn_json_reader *reader, const char *key, const char *const *words,
                   size_t *index);

#endif
