// Types that tensors are stored in and sums are made in, shared by all kernels.
//
// Sums are made in float, for double in double. Threads are those of torch: the OpenMP runtime is not linked but found
// in the process.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define EACH_ROW _Pragma("omp parallel for schedule(static)")
#define LANES _Pragma("omp simd")

namespace {

struct bf16 {
    uint16_t bits;
};

template <class S> struct Wide {
    using type = float;
};
template <> struct Wide<double> {
    using type = double;
};
template <class S> using wide_t = typename Wide<S>::type;

inline float widen(bf16 value) {
    uint32_t bits = uint32_t(value.bits) << 16;
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}
inline float widen(float value) { return value; }
inline double widen(double value) { return value; }

// To the nearest, ties to even.
inline void store(bf16 &target, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    target.bits = uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
inline void store(float &target, float value) { target = value; }
inline void store(double &target, double value) { target = value; }

// e^x for x <= 88, by a polynomial on [-ln 2 / 2, ln 2 / 2] and the exponent's bits: within 2 units in the last place.
inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = std::nearbyint(x * 1.44269504088896f);
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t exponent = (int32_t(n) + 127) << 23;
    float power;
    std::memcpy(&power, &exponent, sizeof power);
    return p * power;
}
inline double exponential(double x) { return std::exp(x); }

} // namespace
