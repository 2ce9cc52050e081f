// Attention of one new token a row to keys and values that were computed before. Compiled and loaded with kernels.cpp;
// the same in torch's operations is in luthier.kernels.cached_attention and luthier.models.cached_path.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "numbers.h"

namespace {

// A head turned by its position: the halves of it together.
template <class S, class T>
inline void turned(const S *in, T *out, const S *cosine, const S *sine, int64_t size, wide_t<S> scale) {
    using W = wide_t<S>;
    const int64_t half = size / 2;
    LANES
    for (int64_t i = 0; i < half; ++i) {
        W a = widen(in[i]), b = widen(in[i + half]);
        store(out[i], (a * widen(cosine[i]) - b * widen(sine[i])) * scale);
        store(out[i + half], (b * widen(cosine[i + half]) + a * widen(sine[i + half])) * scale);
    }
}

// `count` scores of one query to e^(score - the greatest); the sum of them.
template <class W> W exponentials_of(W *scores, int64_t count) {
    W most = -std::numeric_limits<W>::infinity(), sum = 0;
    _Pragma("omp simd reduction(max : most)")
    for (int64_t i = 0; i < count; ++i)
        most = scores[i] > most ? scores[i] : most;
    _Pragma("omp simd reduction(+ : sum)")
    for (int64_t i = 0; i < count; ++i) {
        scores[i] = exponential(scores[i] - most);
        sum += scores[i];
    }
    return sum;
}

// states: [rows, heads + 2 * key_heads, size], queries, keys and values of the new tokens, none of them turned; cosine,
// sine: [rows, size]. keys, values: [rows, key_heads, length, size]; the new ones are stored at `places` [rows], and
// seen are those up to there, of them the last `window`. out: [rows, heads, size].
template <class S>
void decode_attention(const S *states, const S *cosine, const S *sine, S *keys, S *values, const int64_t *places,
                      int64_t rows, int64_t heads, int64_t key_heads, int64_t length, int64_t size, int64_t window,
                      double scaling, S *out) {
    using W = wide_t<S>;
    const int64_t group = heads / key_heads;
    _Pragma("omp parallel for schedule(static) collapse(2)")
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t head = 0; head < key_heads; ++head) {
            const S *state = states + row * (heads + 2 * key_heads) * size;
            const S *own_cosine = cosine + row * size, *own_sine = sine + row * size;
            S *own_keys = keys + (row * key_heads + head) * length * size;
            S *own_values = values + (row * key_heads + head) * length * size;
            const int64_t end = places[row] + 1, first = end > window ? end - window : 0, count = end - first;
            turned(state + (heads + head) * size, own_keys + (end - 1) * size, own_cosine, own_sine, size, W(1));
            std::memcpy(static_cast<void *>(own_values + (end - 1) * size),
                        state + (heads + key_heads + head) * size, size * sizeof(S));

            thread_local std::vector<W> room;
            room.resize(group * count + 2 * size);
            W *scores = room.data(), *query = scores + group * count, *sum = query + size;
            for (int64_t i = 0; i < group; ++i) {
                turned(state + (head * group + i) * size, query, own_cosine, own_sine, size, W(scaling));
                for (int64_t place = 0; place < count; ++place) {
                    const S *key = own_keys + (first + place) * size;
                    W score = 0;
                    _Pragma("omp simd reduction(+ : score)")
                    for (int64_t k = 0; k < size; ++k)
                        score += query[k] * widen(key[k]);
                    scores[i * count + place] = score;
                }
            }
            for (int64_t i = 0; i < group; ++i) {
                W *weights = scores + i * count;
                const W share = W(1) / exponentials_of(weights, count);
                for (int64_t k = 0; k < size; ++k)
                    sum[k] = 0;
                for (int64_t place = 0; place < count; ++place) {
                    const S *value = own_values + (first + place) * size;
                    const W weight = weights[place];
                    LANES
                    for (int64_t k = 0; k < size; ++k)
                        sum[k] += weight * widen(value[k]);
                }
                S *target = out + (row * heads + head * group + i) * size;
                LANES
                for (int64_t k = 0; k < size; ++k)
                    store(target[k], sum[k] * share);
            }
        }
}

} // namespace

#define FOR_TYPE(S, suffix)                                                                                            \
    extern "C" void decode_attention_##suffix(const S *states, const S *cosine, const S *sine, S *keys, S *values,     \
                                              const int64_t *places, int64_t rows, int64_t heads, int64_t key_heads,   \
                                              int64_t length, int64_t size, int64_t window, double scaling, S *out) {  \
        decode_attention(states, cosine, sine, keys, values, places, rows, heads, key_heads, length, size, window,     \
                         scaling, out);                                                                                \
    }

FOR_TYPE(bf16, bf16)
FOR_TYPE(float, f32)
FOR_TYPE(double, f64)
