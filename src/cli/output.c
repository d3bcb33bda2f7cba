#include "output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void cli_json_begin(cli_json *json, bool array)
{
    json->root = array ? cJSON_CreateArray() : cJSON_CreateObject();
    json->failed = !json->root;
}

static cJSON *attach(cli_json *json, cJSON *parent, const char *key, cJSON *item)
{
    cJSON_bool done =
        key ? cJSON_AddItemToObject(parent, key, item) : cJSON_AddItemToArray(parent, item);
    if (done)
        return item;
    cJSON_Delete(item);
    json->failed = true;
    return NULL;
}

cJSON *cli_json_object(cli_json *json, cJSON *parent, const char *key)
{
    return attach(json, parent, key, cJSON_CreateObject());
}

cJSON *cli_json_array(cli_json *json, cJSON *parent, const char *key)
{
    return attach(json, parent, key, cJSON_CreateArray());
}

void cli_json_number(cli_json *json, cJSON *parent, const char *key, double value)
{
    attach(json, parent, key, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

void cli_json_text(cli_json *json, cJSON *parent, const char *key, const char *value)
{
    attach(json, parent, key, cJSON_CreateString(value));
}

void cli_json_bool(cli_json *json, cJSON *parent, const char *key, bool value)
{
    attach(json, parent, key, cJSON_CreateBool(value));
}

void cli_json_null(cli_json *json, cJSON *parent, const char *key)
{
    attach(json, parent, key, cJSON_CreateNull());
}

int cli_json_print(cli_session *session, cli_json *json)
{
    char *text = json->failed ? NULL : cJSON_Print(json->root);
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(json->root);
    json->root = NULL;
    return text ? CLI_DONE : cli_error(session, CLI_FAILED, "no memory for the JSON");
}

/* Seven digits; half a unit of the last one is added (side 1) or taken (side -1) if rounding went
 * the other way. */
static const char *print_bound(char out[CLI_BOUND_TEXT], double bound, double side)
{
    if (!isfinite(bound)) {
        snprintf(out, CLI_BOUND_TEXT, "none");
        return out;
    }
    snprintf(out, CLI_BOUND_TEXT, "%.7g", bound);
    if (side * (strtod(out, NULL) - bound) < 0) {
        double unit = pow(10, floor(log10(fabs(bound))) - 6);
        snprintf(out, CLI_BOUND_TEXT, "%.7g", bound + side * 0.5 * unit);
    }
    return out;
}

const char *cli_bound_upper(char out[CLI_BOUND_TEXT], double bound)
{
    return print_bound(out, bound, 1);
}

const char *cli_bound_lower(char out[CLI_BOUND_TEXT], double bound)
{
    return print_bound(out, bound, -1);
}

const char *cli_exact(char out[CLI_BOUND_TEXT], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, CLI_BOUND_TEXT, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

size_t cli_changed_layers(const irn_certificate *certificate)
{
    size_t changed = 0;
    for (size_t i = 0; i < irn_certificate_layer_count(certificate); i++)
        changed += irn_certificate_layer(certificate, i).upper_before > 0;
    return changed;
}

void cli_print_changes(const irn_certificate *certificate, const char *indent)
{
    char from[CLI_BOUND_TEXT], to[CLI_BOUND_TEXT];
    for (size_t i = 0; i < irn_certificate_layer_count(certificate); i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, i);
        if (layer.upper_before > 0)
            printf("%s%-28s  %12s  %12s\n", indent, layer.name,
                   cli_bound_upper(from, layer.upper_before),
                   cli_bound_upper(to, layer.bound.upper));
    }
}

const char *cli_measured(char out[CLI_BOUND_TEXT], double value)
{
    if (isnan(value))
        snprintf(out, CLI_BOUND_TEXT, "nan");
    else
        snprintf(out, CLI_BOUND_TEXT, fabs(value) < 1e7 ? "%.4f" : "%.6g", value);
    return out;
}

const char *cli_bytes(char out[CLI_BOUND_TEXT], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(out, CLI_BOUND_TEXT, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}
