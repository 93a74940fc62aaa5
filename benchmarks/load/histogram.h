#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define STEP_BITS 7 /* each power of two is cut into 128 steps: under 1 % wide */

typedef struct {
    uint64_t counts[64 << STEP_BITS];
    uint64_t count, max;
} Histogram;

void record(Histogram *h, uint64_t value);
uint64_t percentile(const Histogram *h, double share); /* the value that this share is not above */

#endif
