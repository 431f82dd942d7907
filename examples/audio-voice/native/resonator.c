/* A digital formant resonator whose frequency and bandwidth change with every sample (Klatt 1980, eq. 1-2).
 * scipy's filters have fixed coefficients, and a Python loop over samples is a hundred times too slow. */
#include <math.h>
#include <stddef.h>

#define PI 3.14159265358979323846

/* signal: n samples, filtered in place; frequency, bandwidth: n values in Hz; rate: samples per second */
void resonate(double *signal, const double *frequency, const double *bandwidth, size_t n, double rate)
{
    double previous = 0.0, before = 0.0;

    for (size_t i = 0; i < n; i++) {
        const double radius = exp(-PI * bandwidth[i] / rate);
        const double b = 2.0 * radius * cos(2.0 * PI * frequency[i] / rate);
        const double c = -radius * radius;
        const double out = (1.0 - b - c) * signal[i] + b * previous + c * before;

        before = previous;
        previous = out;
        signal[i] = out;
    }
}
