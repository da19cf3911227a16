#define TEMPERA_YARDSTICK avx512
#include "yardstick_body.inc"
