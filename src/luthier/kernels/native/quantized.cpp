// Products of activations with weights in few bits, for inference. Compiled and loaded with kernels.cpp; the forms in
// torch are in luthier.kernels.quantized. Sums are made in float.
//
// Few rows take as long as the weights take to be read, so these are read once and in order: several rows of them side
// by side halve the speed of memory. Activations are whole numbers of LARGEST parts of the greatest
// of their row; all products and sums of them are exact.

#include <cmath>
#include <cstdint>
#include <vector>

#include "numbers.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace {

const int64_t STEP = 16;
const int64_t GROUP = 2 * STEP;
const int TILE = 4;
const int64_t BLOCK = 16;
// A lane adds two products of 127 * LARGEST for every STEP: so many may be added before 32 bits overflow.
const int64_t EXACT = 16384;
const float LARGEST = 8191;
const float LEAST = 1e-30f;
const int64_t AHEAD = 1024;

// Rows of numbers as whole numbers, each row `stride` long with zeros at the end, and what one of them stands for. A row
// that is not finite becomes zeros that stand for NaN. `sums` are of each GROUP of a row, where they are asked for.
struct Activations {
    int64_t rows, size, groups, stride;
    std::vector<int16_t> numbers;
    std::vector<float> scales, sums;

    template <class S>
    Activations(const S *x, int64_t rows, int64_t size, bool with_sums)
        : rows(rows), size(size), groups((size + 2 * GROUP - 1) / (2 * GROUP) * 2), stride(groups * GROUP), numbers(rows * stride),
          scales(rows), sums(with_sums ? rows * groups : 0) {
        _Pragma("omp parallel for schedule(static) if (rows > TILE)")
        for (int64_t row = 0; row < rows; ++row) {
            quantize(x + row * size, numbers.data() + row * stride, scales[row]);
            for (int64_t group = 0; with_sums && group < groups; ++group)
                sums[row * groups + group] = float(sum(numbers.data() + row * stride + group * GROUP));
        }
    }

    template <class S> void quantize(const S *in, int16_t *out, float &scale) const {
        float most = LEAST, poison = 0;
        _Pragma("omp simd reduction(max : most) reduction(+ : poison)")
        for (int64_t i = 0; i < size; ++i) {
            float value = widen(in[i]), magnitude = value < 0 ? -value : value;
            most = magnitude > most ? magnitude : most;
            poison += value * 0.0f;
        }
        scale = most / LARGEST + poison;
        if (poison != 0)
            return;
        const float inverse = LARGEST / most;
        LANES
        for (int64_t i = 0; i < size; ++i)
            out[i] = int16_t(int32_t(std::nearbyint(widen(in[i]) * inverse)));
    }

    static int32_t sum(const int16_t *group) {
        int32_t result = 0;
        _Pragma("omp simd reduction(+ : result)")
        for (int64_t i = 0; i < GROUP; ++i)
            result += group[i];
        return result;
    }
};

// Add the products of one row of weights with TOKENS rows of activations, `stride` numbers apart, to sums[TOKENS].
inline float from_upper(uint32_t bits) {
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

#ifdef __AVX2__

inline __m256i add_products(__m256i sum, __m256i a, __m256i b) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return _mm256_dpwssd_epi32(sum, a, b);
#elif defined(__AVXVNNI__)
    return _mm256_dpwssd_avx_epi32(sum, a, b);
#else
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#endif
}

inline __m256i widened(const int8_t *weights) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(weights)));
}

inline __m256i loaded(const int16_t *numbers) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(numbers));
}

inline int64_t total(__m256i sum) {
    const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(sum)),
                                          _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sum, 1)));
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    return _mm_extract_epi64(two, 0) + _mm_extract_epi64(two, 1);
}

inline float total(__m256 sum) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

template <int TOKENS>
inline void add_dots(const int8_t *weights, const int16_t *x, int64_t stride, int64_t size, int64_t *sums) {
    const int UNROLLED = TOKENS == 1 ? 4 : 1;
    __m256i lanes[TOKENS][UNROLLED];
    for (auto &of_token : lanes)
        for (__m256i &lane : of_token)
            lane = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + STEP * UNROLLED <= size; i += STEP * UNROLLED) {
        _mm_prefetch(reinterpret_cast<const char *>(weights + i + AHEAD), _MM_HINT_T0);
        for (int u = 0; u < UNROLLED; ++u) {
            const int64_t at = i + u * STEP;
            const __m256i weight = widened(weights + at);
            for (int t = 0; t < TOKENS; ++t)
                lanes[t][u] = add_products(lanes[t][u], weight, loaded(x + t * stride + at));
        }
    }
    for (int t = 0; t < TOKENS; ++t) {
        for (int u = 0; u < UNROLLED; ++u)
            sums[t] += total(lanes[t][u]);
        for (int64_t k = i; k < size; ++k)
            sums[t] += int32_t(weights[k]) * int32_t(x[t * stride + k]);
    }
}

inline __m256 step_of(const uint32_t *scale) {
    const __m256i both = _mm256_castps_si256(_mm256_broadcast_ss(reinterpret_cast<const float *>(scale)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
}

// Add the products of steps times their sizes: `pairs` of groups of weights with TOKENS rows of activations, to
// sums[TOKENS].
template <int TOKENS>
inline void add_group_dots(const uint16_t *weights, const uint32_t *scales, const int16_t *x, int64_t stride,
                           int64_t pairs, float *sums) {
    const __m256i low = _mm256_set1_epi16(15);
    __m256 lanes[TOKENS][2];
    for (auto &of_token : lanes)
        of_token[0] = of_token[1] = _mm256_setzero_ps();
    for (int64_t pair = 0; pair < pairs; ++pair) {
        const uint16_t *own = weights + pair * STEP;
        _mm_prefetch(reinterpret_cast<const char *>(own) + AHEAD, _MM_HINT_T0);
        const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(own));
        const __m256i quarters[4] = {_mm256_and_si256(all, low), _mm256_and_si256(_mm256_srli_epi16(all, 4), low),
                                     _mm256_and_si256(_mm256_srli_epi16(all, 8), low), _mm256_srli_epi16(all, 12)};
        for (int t = 0; t < TOKENS; ++t)
            for (int half = 0; half < 2; ++half) {
                const int16_t *numbers = x + t * stride + (2 * pair + half) * GROUP;
                const __m256i products = add_products(_mm256_madd_epi16(quarters[2 * half], loaded(numbers)),
                                                      quarters[2 * half + 1], loaded(numbers + STEP));
                lanes[t][half] = _mm256_add_ps(
                    lanes[t][half], _mm256_mul_ps(_mm256_cvtepi32_ps(products), step_of(scales + 2 * pair + half)));
            }
    }
    for (int t = 0; t < TOKENS; ++t)
        sums[t] += total(_mm256_add_ps(lanes[t][0], lanes[t][1]));
}

#else

template <int TOKENS>
inline void add_group_dots(const uint16_t *weights, const uint32_t *scales, const int16_t *x, int64_t stride,
                           int64_t pairs, float *sums) {
    for (int t = 0; t < TOKENS; ++t)
        for (int64_t group = 0; group < 2 * pairs; ++group) {
            const uint16_t *own = weights + group / 2 * STEP;
            const int16_t *numbers = x + t * stride + group * GROUP;
            const int shift = group % 2 ? 8 : 0;
            int32_t sum = 0;
            _Pragma("omp simd reduction(+ : sum)")
            for (int64_t i = 0; i < STEP; ++i)
                sum += int32_t(own[i] >> shift & 15) * int32_t(numbers[i]) +
                       int32_t(own[i] >> (shift + 4) & 15) * int32_t(numbers[i + STEP]);
            sums[t] += float(sum) * from_upper(scales[group] << 16);
        }
}

template <int TOKENS>
inline void add_dots(const int8_t *weights, const int16_t *x, int64_t stride, int64_t size, int64_t *sums) {
    for (int t = 0; t < TOKENS; ++t)
        for (int64_t from = 0; from < size; from += STEP * STEP) {
            const int64_t to = from + STEP * STEP < size ? from + STEP * STEP : size;
            int32_t sum = 0;
            _Pragma("omp simd reduction(+ : sum)")
            for (int64_t i = from; i < to; ++i)
                sum += int32_t(weights[i]) * int32_t(x[t * stride + i]);
            sums[t] += sum;
        }
}

#endif

// Weights of a byte each: numbers [outputs, size], and what one of an output stands for.
struct Int8 {
    static const bool IN_GROUPS = false;
    const int8_t *numbers;
    const float *scales;
    int64_t size, outputs;

    // The products of one output with TOKENS rows from `row` on.
    template <int TOKENS>
    __attribute__((noinline)) void products(int64_t output, const Activations &x, int64_t row, float *results) const {
        int64_t sums[TOKENS] = {};
        for (int64_t from = 0; from < size; from += EXACT)
            add_dots<TOKENS>(numbers + output * size + from, x.numbers.data() + row * x.stride + from, x.stride,
                             from + EXACT < size ? EXACT : size - from, sums);
        for (int t = 0; t < TOKENS; ++t)
            results[t] = float(sums[t]) * (x.scales[row + t] * scales[output]);
    }
};

// Weights of four bits each, by groups of GROUP. Number i of STEP for two groups has, from its lowest bits on, weights i
// and STEP + i of the first one and those of the second. For each group in bfloat16 the least of it and, in the lower
// half, the step from one weight to the next.
struct Int4 {
    static const bool IN_GROUPS = true;
    const uint16_t *numbers;
    const uint32_t *scales;
    int64_t size, outputs;

    template <int TOKENS>
    __attribute__((noinline)) void products(int64_t output, const Activations &x, int64_t row, float *results) const {
        const uint32_t *own = scales + output * x.groups;
        float sums[TOKENS];
        for (int t = 0; t < TOKENS; ++t) {
            const float *of_groups = x.sums.data() + (row + t) * x.groups;
            float sum = 0;
            _Pragma("omp simd reduction(+ : sum)")
            for (int64_t group = 0; group < x.groups; ++group)
                sum += from_upper(own[group] & 0xffff0000u) * of_groups[group];
            sums[t] = sum;
        }
        add_group_dots<TOKENS>(numbers + output * x.stride / 4, own, x.numbers.data() + row * x.stride, x.stride,
                               x.groups / 2, sums);
        for (int t = 0; t < TOKENS; ++t)
            results[t] = sums[t] * x.scales[row + t];
    }
};

template <int TOKENS, class Weights, class Put>
inline void compute(const Weights &weights, const Activations &x, int64_t output, int64_t row, const Put &put) {
    float results[TOKENS];
    weights.template products<TOKENS>(output, x, row, results);
    for (int t = 0; t < TOKENS; ++t)
        put(row + t, output, results[t]);
}

// put(row, output, x weights^T) for all rows and outputs. x: [rows, weights.size].
template <class Weights, class S, class Put>
void multiply(const Weights &weights, const S *numbers, int64_t rows, const Put &put) {
    const Activations x(numbers, rows, weights.size, Weights::IN_GROUPS);
    EACH_ROW
    for (int64_t block = 0; block < weights.outputs; block += BLOCK) {
        const int64_t end = block + BLOCK < weights.outputs ? block + BLOCK : weights.outputs;
        for (int64_t row = 0; row < rows; row += TILE)
            for (int64_t output = block; output < end; ++output)
                switch (rows - row) {
                case 1:
                    compute<1>(weights, x, output, row, put);
                    break;
                case 2:
                    compute<2>(weights, x, output, row, put);
                    break;
                case 3:
                    compute<3>(weights, x, output, row, put);
                    break;
                default:
                    compute<TILE>(weights, x, output, row, put);
                }
    }
}

// y [rows, outputs] = x weights^T + bias, the bias [outputs] or none.
template <class Weights, class T, class S>
void product(const T *x, const Weights &weights, const S *bias, S *y, int64_t rows) {
    multiply(weights, x, rows, [=](int64_t row, int64_t output, float value) {
        store(y[row * weights.outputs + output], value + (bias ? widen(bias[output]) : 0.0f));
    });
}

// Root mean square normalisation of rows.
template <class S, class T>
std::vector<float> normalised(const T *x, const S *weight, double epsilon, int64_t rows, int64_t size) {
    std::vector<float> result(rows * size);
    _Pragma("omp parallel for schedule(static) if (rows > TILE)")
    for (int64_t row = 0; row < rows; ++row) {
        const T *in = x + row * size;
        float *out = result.data() + row * size, squares = 0;
        _Pragma("omp simd reduction(+ : squares)")
        for (int64_t i = 0; i < size; ++i)
            squares += widen(in[i]) * widen(in[i]);
        const float scale = 1.0f / std::sqrt(squares / float(size) + float(epsilon));
        LANES
        for (int64_t i = 0; i < size; ++i)
            out[i] = widen(in[i]) * scale * widen(weight[i]);
    }
    return result;
}

// The end of a decoder layer of Llama's shape: h = x + attended output^T, and y = h + (silu(gate) * up) down^T, where
// gate and up are the halves of norm(h) gate_up^T.
template <class S, class Weights>
void layer_end(const S *x, const S *attended, const Weights &output, const S *norm, double epsilon,
               const Weights &gate_up, const Weights &down, S *y, int64_t rows) {
    const int64_t size = output.outputs, inner = down.size;
    std::vector<float> hidden(rows * size), both(rows * 2 * inner);
    float *h = hidden.data(), *gates = both.data();
    multiply(output, attended, rows, [=](int64_t row, int64_t at, float value) {
        h[row * size + at] = widen(x[row * size + at]) + value;
    });
    const std::vector<float> normal = normalised(h, norm, epsilon, rows, size);
    multiply(gate_up, normal.data(), rows, [=](int64_t row, int64_t at, float value) {
        gates[(at < inner ? row : rows + row) * inner + (at < inner ? at : at - inner)] = value;
    });
    _Pragma("omp parallel for schedule(static) if (rows > TILE)")
    for (int64_t row = 0; row < rows; ++row) {
        float *gate = gates + row * inner;
        const float *up = gates + (rows + row) * inner;
        LANES
        for (int64_t i = 0; i < inner; ++i)
            gate[i] *= up[i] / (1.0f + exponential(-gate[i]));
    }
    multiply(down, static_cast<const float *>(gates), rows, [=](int64_t row, int64_t at, float value) {
        store(y[row * size + at], h[row * size + at] + value);
    });
}

} // namespace

#define FOR_WEIGHTS(Weights, name, Number, Scale, S, suffix)                                                           \
    extern "C" void name##_product_##suffix(const S *x, const Number *weights, const Scale *scales, const S *bias,     \
                                            S *y, int64_t rows, int64_t size, int64_t outputs) {                       \
        product(x, Weights{weights, scales, size, outputs}, bias, y, rows);                                            \
    }                                                                                                                  \
    extern "C" void name##_norm_product_##suffix(const S *x, const S *norm, double epsilon, const Number *weights,     \
                                                 const Scale *scales, const S *bias, S *y, int64_t rows, int64_t size, \
                                                 int64_t outputs) {                                                    \
        product(normalised(x, norm, epsilon, rows, size).data(), Weights{weights, scales, size, outputs}, bias, y,     \
                rows);                                                                                                 \
    }                                                                                                                  \
    extern "C" void name##_layer_end_##suffix(const S *x, const S *attended, const Number *output,                     \
                                              const Scale *output_scales, const S *norm, double epsilon,               \
                                              const Number *gate_up, const Scale *gate_up_scales, const Number *down,  \
                                              const Scale *down_scales, S *y, int64_t rows, int64_t size,              \
                                              int64_t attended_size, int64_t inner) {                                  \
        layer_end(x, attended, Weights{output, output_scales, attended_size, size}, norm, epsilon,                     \
                  Weights{gate_up, gate_up_scales, size, 2 * inner}, Weights{down, down_scales, inner, size}, y,       \
                  rows);                                                                                               \
    }

#define FOR_TYPE(S, suffix)                                                                                            \
    FOR_WEIGHTS(Int8, int8, int8_t, float, S, suffix)                                                                  \
    FOR_WEIGHTS(Int4, int4, uint16_t, uint32_t, S, suffix)

FOR_TYPE(bf16, bf16)
FOR_TYPE(float, f32)
