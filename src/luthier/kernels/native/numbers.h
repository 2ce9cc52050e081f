// Types that tensors are stored in and sums are made in, shared by all kernels.
//
// Sums are made in float, for double in double. Threads are those of torch: the OpenMP runtime is not linked but found
// in the process.

#pragma once

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

} // namespace
