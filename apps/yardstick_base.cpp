#define TEMPERA_YARDSTICK base
#include "yardstick_body.inc"
