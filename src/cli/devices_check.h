/* devices --check: the table or JSON of what devices compute. */
#ifndef IRN_CLI_DEVICES_CHECK_H
#define IRN_CLI_DEVICES_CHECK_H

#include "output.h"

/* Checks the device that is chosen so in full. entry: the device's JSON object, or NULL
 * to print a table. Returns an exit status, after telling why the device is refused. */
int cli_check_device(cli_session *session, const char *choice, cli_json *json, cJSON *entry);

#endif
