/* Delays, counted in steps that grow with the value: exact under 128, under 1 % off above. */
#include "histogram.h"

static unsigned step_of(uint64_t value) {
    if (value < 1 << STEP_BITS) return value;
    unsigned shift = 63 - __builtin_clzll(value) - STEP_BITS;
    return ((shift + 1) << STEP_BITS) + (value >> shift) - (1 << STEP_BITS);
}

/* The greatest value that is counted in a step. */
static uint64_t greatest(unsigned step) {
    if (step < 1 << STEP_BITS) return step;
    unsigned shift = (step >> STEP_BITS) - 1;
    uint64_t first = (step & ((1 << STEP_BITS) - 1)) + (1 << STEP_BITS);
    return ((first + 1) << shift) - 1;
}

void record(Histogram *h, uint64_t value) {
    h->counts[step_of(value)]++;
    h->count++;
    if (value > h->max) h->max = value;
}

uint64_t percentile(const Histogram *h, double share) {
    uint64_t seen = 0, wanted = h->count * share;
    for (unsigned step = 0; step < sizeof h->counts / sizeof *h->counts; step++) {
        seen += h->counts[step];
        if (seen > wanted || (seen && seen == h->count))
            return greatest(step) < h->max ? greatest(step) : h->max;
    }
    return 0;
}
