#include "limits.h"
void limits_memory(void)
{
}
