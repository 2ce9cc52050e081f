// Products of activations with weights in few bits, for inference. Compiled and loaded with kernels.cpp; the forms in
// torch are in luthier.kernels.int8.
//
// Few rows take as long as the weights take to be read, so these are read once, one byte each, and in order: several
// rows of them side by side halve the speed of memory. Activations are whole numbers of LARGEST parts of the greatest
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
const int TILE = 4;
const int64_t BLOCK = 16;
// A lane adds two products of 127 * LARGEST for every STEP: so many may be added before 32 bits overflow.
const int64_t EXACT = 16384;
const double LARGEST = 8191;
const double LEAST = 1e-30;
const int64_t AHEAD = 1024;

// Rows of numbers as whole numbers, each row `stride` long with zeros at the end, and what one of them stands for. A row
// that is not finite becomes zeros that stand for NaN.
template <class W> struct Activations {
    int64_t rows, size, stride;
    std::vector<int16_t> numbers;
    std::vector<W> scales;

    template <class S>
    Activations(const S *x, int64_t rows, int64_t size)
        : rows(rows), size(size), stride((size + STEP - 1) / STEP * STEP), numbers(rows * stride), scales(rows) {
        _Pragma("omp parallel for schedule(static) if (rows > TILE)")
        for (int64_t row = 0; row < rows; ++row)
            quantize(x + row * size, numbers.data() + row * stride, scales[row]);
    }

    template <class S> void quantize(const S *in, int16_t *out, W &scale) {
        W most = W(LEAST), poison = 0;
        _Pragma("omp simd reduction(max : most) reduction(+ : poison)")
        for (int64_t i = 0; i < size; ++i) {
            W value = widen(in[i]), magnitude = value < 0 ? -value : value;
            most = magnitude > most ? magnitude : most;
            poison += value * W(0);
        }
        scale = most / W(LARGEST) + poison;
        if (poison != W(0))
            return;
        const W inverse = W(LARGEST) / most;
        LANES
        for (int64_t i = 0; i < size; ++i)
            out[i] = int16_t(int32_t(std::nearbyint(widen(in[i]) * inverse)));
    }
};

// Add the products of one row of weights with TOKENS rows of activations, `stride` numbers apart, to sums[TOKENS].
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
    alignas(32) int32_t lanes[8];
    _mm256_store_si256(reinterpret_cast<__m256i *>(lanes), sum);
    int64_t result = 0;
    for (int32_t lane : lanes)
        result += lane;
    return result;
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

#else

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
    const int8_t *numbers;
    const float *scales;
    int64_t size, outputs;

    // The products of one output with TOKENS rows from `row` on.
    template <int TOKENS, class W>
    void products(int64_t output, const Activations<W> &x, int64_t row, W *results) const {
        int64_t sums[TOKENS] = {};
        for (int64_t from = 0; from < size; from += EXACT)
            add_dots<TOKENS>(numbers + output * size + from, x.numbers.data() + row * x.stride + from, x.stride,
                             from + EXACT < size ? EXACT : size - from, sums);
        for (int t = 0; t < TOKENS; ++t)
            results[t] = W(sums[t]) * (x.scales[row + t] * W(scales[output]));
    }
};

template <int TOKENS, class Weights, class W, class Put>
inline void compute(const Weights &weights, const Activations<W> &x, int64_t output, int64_t row, const Put &put) {
    W results[TOKENS];
    weights.template products<TOKENS>(output, x, row, results);
    for (int t = 0; t < TOKENS; ++t)
        put(row + t, output, results[t]);
}

// put(row, output, x weights^T) for all rows and outputs.
template <class Weights, class W, class Put>
void multiply(const Weights &weights, const Activations<W> &x, const Put &put) {
    EACH_ROW
    for (int64_t block = 0; block < weights.outputs; block += BLOCK) {
        const int64_t end = block + BLOCK < weights.outputs ? block + BLOCK : weights.outputs;
        for (int64_t row = 0; row < x.rows; row += TILE)
            for (int64_t output = block; output < end; ++output)
                switch (x.rows - row) {
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
template <class S, class Weights>
void product(const Activations<wide_t<S>> &x, const Weights &weights, const S *bias, S *y) {
    using W = wide_t<S>;
    multiply(weights, x, [=](int64_t row, int64_t output, W value) {
        store(y[row * weights.outputs + output], value + (bias ? W(widen(bias[output])) : W(0)));
    });
}

// Root mean square normalisation of rows, in the type of sums.
template <class S, class T>
std::vector<wide_t<S>> normalised(const T *x, const S *weight, double epsilon, int64_t rows, int64_t size) {
    using W = wide_t<S>;
    std::vector<W> result(rows * size);
    _Pragma("omp parallel for schedule(static) if (rows > TILE)")
    for (int64_t row = 0; row < rows; ++row) {
        const T *in = x + row * size;
        W *out = result.data() + row * size, squares = 0;
        _Pragma("omp simd reduction(+ : squares)")
        for (int64_t i = 0; i < size; ++i)
            squares += W(widen(in[i])) * W(widen(in[i]));
        const W scale = W(1) / std::sqrt(squares / W(size) + W(epsilon));
        LANES
        for (int64_t i = 0; i < size; ++i)
            out[i] = W(widen(in[i])) * scale * W(widen(weight[i]));
    }
    return result;
}

// The end of a decoder layer of Llama's shape: h = x + attended output^T, and y = h + (silu(gate) * up) down^T, where
// gate and up are the halves of norm(h) gate_up^T.
template <class S, class Weights>
void layer_end(const S *x, const S *attended, const Weights &output, const S *norm, double epsilon,
               const Weights &gate_up, const Weights &down, S *y, int64_t rows) {
    using W = wide_t<S>;
    const int64_t size = output.outputs, inner = down.size;
    std::vector<W> hidden(rows * size), both(rows * 2 * inner);
    W *h = hidden.data(), *gates = both.data();
    multiply(output, Activations<W>(attended, rows, output.size), [=](int64_t row, int64_t at, W value) {
        h[row * size + at] = W(widen(x[row * size + at])) + value;
    });
    const std::vector<W> normal = normalised(h, norm, epsilon, rows, size);
    multiply(gate_up, Activations<W>(normal.data(), rows, size), [=](int64_t row, int64_t at, W value) {
        gates[(at < inner ? row : rows + row) * inner + (at < inner ? at : at - inner)] = value;
    });
    _Pragma("omp parallel for schedule(static) if (rows > TILE)")
    for (int64_t row = 0; row < rows; ++row) {
        W *gate = gates + row * inner;
        const W *up = gates + (rows + row) * inner;
        LANES
        for (int64_t i = 0; i < inner; ++i)
            gate[i] *= up[i] / (W(1) + exponential(-gate[i]));
    }
    multiply(down, Activations<W>(gates, rows, inner), [=](int64_t row, int64_t at, W value) {
        store(y[row * size + at], h[row * size + at] + value);
    });
}

} // namespace

#define FOR_TYPE(S, suffix)                                                                                            \
    extern "C" void int8_product_##suffix(const S *x, const int8_t *weights, const float *scales, const S *bias,       \
                                          S *y, int64_t rows, int64_t size, int64_t outputs) {                         \
        product(Activations<wide_t<S>>(x, rows, size), Int8{weights, scales, size, outputs}, bias, y);                 \
    }                                                                                                                  \
    extern "C" void int8_norm_product_##suffix(const S *x, const S *norm, double epsilon, const int8_t *weights,       \
                                               const float *scales, const S *bias, S *y, int64_t rows, int64_t size,   \
                                               int64_t outputs) {                                                      \
        const auto normal = normalised<S>(x, norm, epsilon, rows, size);                                               \
        product(Activations<wide_t<S>>(normal.data(), rows, size), Int8{weights, scales, size, outputs}, bias, y);     \
    }                                                                                                                  \
    extern "C" void int8_layer_end_##suffix(const S *x, const S *attended, const int8_t *output,                       \
                                            const float *output_scales, const S *norm, double epsilon,                 \
                                            const int8_t *gate_up, const float *gate_up_scales, const int8_t *down,    \
                                            const float *down_scales, S *y, int64_t rows, int64_t size,                \
                                            int64_t attended_size, int64_t inner) {                                    \
        layer_end(x, attended, Int8{output, output_scales, attended_size, size}, norm, epsilon,                        \
                  Int8{gate_up, gate_up_scales, size, 2 * inner}, Int8{down, down_scales, inner, size}, y, rows);      \
    }

FOR_TYPE(bf16, bf16)
FOR_TYPE(float, f32)
