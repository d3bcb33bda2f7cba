/* Results for machines (JSON) and for people. */
#ifndef IRN_CLI_OUTPUT_H
#define IRN_CLI_OUTPUT_H

#include "cli.h"

#include <cjson/cJSON.h>

/* A JSON value in the making; a failed allocation is remembered and told by cli_json_print(). */
typedef struct cli_json {
    cJSON *root;
    bool failed;
} cli_json;

void cli_json_begin(cli_json *json, bool array);
/* Each adds to parent: with a key to an object, with key NULL to an array. Numbers that are not
 * finite become null. */
cJSON *cli_json_object(cli_json *json, cJSON *parent, const char *key);
cJSON *cli_json_array(cli_json *json, cJSON *parent, const char *key);
void cli_json_number(cli_json *json, cJSON *parent, const char *key, double value);
void cli_json_text(cli_json *json, cJSON *parent, const char *key, const char *value);
void cli_json_bool(cli_json *json, cJSON *parent, const char *key, bool value);
void cli_json_null(cli_json *json, cJSON *parent, const char *key);

/* Prints on standard output and frees. Returns an exit status. */
int cli_json_print(cli_session *session, cli_json *json);

/* A bound with seven digits, rounded outwards so that it stays one; "none" if infinite or NaN.
 * Returns out. */
#define CLI_BOUND_TEXT 32
const char *cli_bound_upper(char out[CLI_BOUND_TEXT], double bound);
const char *cli_bound_lower(char out[CLI_BOUND_TEXT], double bound);

/* The shortest of 15 to 17 digits that reads back as the value: what is said of it is then true of
 * the value itself. Returns out. */
const char *cli_exact(char out[CLI_BOUND_TEXT], double value);

/* The number of layers that irn_certify_enforce() changed, and a line for each, begun with a text,
 * on standard output: its name, its bound before and its bound now. */
size_t cli_changed_layers(const irn_certificate *certificate);
void cli_print_changes(const irn_certificate *certificate, const char *indent);

/* A measured value with four decimals, a huge one in scientific form, NaN as "nan". Returns out. */
const char *cli_measured(char out[CLI_BOUND_TEXT], double value);

/* Bytes as "1.5 GiB". Returns out. */
const char *cli_bytes(char out[CLI_BOUND_TEXT], uint64_t bytes);

#endif
