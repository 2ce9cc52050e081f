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

inline int64_t whole_steps(int64_t size) { return (size + STEP - 1) / STEP * STEP; }

// Rows of numbers to rows of whole numbers, each `whole_steps(size)` long, zeros at the end, and what one of them
// stands for. A row that is not finite becomes zeros that stand for NaN.
template <class S> void quantize_rows(const S *x, int16_t *numbers, wide_t<S> *scales, int64_t rows, int64_t size) {
    using W = wide_t<S>;
    const int64_t stride = whole_steps(size);
    for (int64_t row = 0; row < rows; ++row) {
        const S *in = x + row * size;
        int16_t *out = numbers + row * stride;
        W most = W(LEAST), poison = 0;
        _Pragma("omp simd reduction(max : most) reduction(+ : poison)")
        for (int64_t i = 0; i < size; ++i) {
            W value = widen(in[i]), size_of = value < 0 ? -value : value;
            most = size_of > most ? size_of : most;
            poison += value * W(0);
        }
        bool finite = poison == W(0);
        W inverse = finite ? W(LARGEST) / most : W(0);
        scales[row] = finite ? most / W(LARGEST) : poison;
        if (finite) {
            LANES
            for (int64_t i = 0; i < size; ++i)
                out[i] = int16_t(int32_t(std::nearbyint(widen(in[i]) * inverse)));
        }
        for (int64_t i = finite ? size : 0; i < stride; ++i)
            out[i] = 0;
    }
}

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

// Activations as whole numbers, and where their products with weights go.
template <class S> struct Product {
    using W = wide_t<S>;
    const int16_t *numbers;
    const W *row_scales;
    const int8_t *weights;
    const float *scales;
    const S *bias;
    S *y;
    int64_t size, stride, outputs;

    template <int TOKENS> void compute(int64_t output, int64_t row) const {
        int64_t sums[TOKENS] = {};
        for (int64_t from = 0; from < size; from += EXACT)
            add_dots<TOKENS>(weights + output * size + from, numbers + row * stride + from, stride,
                             from + EXACT < size ? EXACT : size - from, sums);
        const W shift = bias ? W(widen(bias[output])) : W(0);
        for (int t = 0; t < TOKENS; ++t)
            store(y[(row + t) * outputs + output], W(sums[t]) * (row_scales[row + t] * W(scales[output])) + shift);
    }
};

// y = x weights^T * scales + bias. x: [rows, size]; weights: [outputs, size]; scales, bias (or none): [outputs];
// y: [rows, outputs].
template <class S>
void int8_product(const S *x, const int8_t *weights, const float *scales, const S *bias, S *y, int64_t rows,
                  int64_t size, int64_t outputs) {
    const int64_t stride = whole_steps(size);
    std::vector<int16_t> numbers(rows * stride);
    std::vector<wide_t<S>> row_scales(rows);
    quantize_rows(x, numbers.data(), row_scales.data(), rows, size);
    const Product<S> product{numbers.data(), row_scales.data(), weights, scales, bias, y, size, stride, outputs};
    EACH_ROW
    for (int64_t block = 0; block < outputs; block += BLOCK) {
        const int64_t end = block + BLOCK < outputs ? block + BLOCK : outputs;
        for (int64_t row = 0; row < rows; row += TILE)
            for (int64_t output = block; output < end; ++output)
                switch (rows - row) {
                case 1:
                    product.template compute<1>(output, row);
                    break;
                case 2:
                    product.template compute<2>(output, row);
                    break;
                case 3:
                    product.template compute<3>(output, row);
                    break;
                default:
                    product.template compute<TILE>(output, row);
                }
    }
}

} // namespace

#define FOR_TYPE(S, suffix)                                                                                            \
    extern "C" void int8_product_##suffix(const S *x, const int8_t *weights, const float *scales, const S *bias,       \
                                          S *y, int64_t rows, int64_t size, int64_t outputs) {                         \
        int8_product(x, weights, scales, bias, y, rows, size, outputs);                                                \
    }

FOR_TYPE(bf16, bf16)
FOR_TYPE(float, f32)
FOR_TYPE(double, f64)
