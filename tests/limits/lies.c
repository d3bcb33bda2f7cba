#include "limits.h"
void limits_lies(void)
{
}
