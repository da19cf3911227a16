#define TEMPERA_YARDSTICK avx2
#include "yardstick_body.inc"
