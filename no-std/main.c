// The static library at work: everything written is read in order, and the mark says stop.
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct samples;
struct samples *samples_open(size_t high_water_mark);
int32_t samples_write(struct samples *, uint32_t);
int32_t samples_read(struct samples *, uint32_t *);
void samples_close(struct samples *);

int main(void) {
    struct samples *samples = samples_open(4);
    uint32_t next = 0, sample = 0;
    assert(samples);
    for (uint32_t i = 0; i < 1000; i++) {
        int32_t answer = samples_write(samples, i);
        assert(answer == (i - next == 3));
        if (answer == 1) {
            assert(samples_write(samples, 0) == -1);
            while (samples_read(samples, &sample)) assert(sample == next++);
        }
    }
    while (samples_read(samples, &sample)) assert(sample == next++);
    assert(next == 1000);
    samples_close(samples);
    puts("1000 samples, in order, without std");
}
