// Passes over activations and moments that torch would make one after another, each fused into one. Compiled on first
// use by luthier.kernels.native; every function has a form in torch beside its caller, which it equals to rounding.
//
// Suffixes name the type that tensors are stored in; sums are made in float, for double in double. Matrices are by
// rows. Threads are those of torch: the OpenMP runtime is not linked but found in the process.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "numbers.h"

namespace {

template <class S>
void rms_norm_forward(const S *x, const S *weight, S *y, wide_t<S> *inverse, int64_t rows, int64_t size,
                      double epsilon) {
    using W = wide_t<S>;
    EACH_ROW
    for (int64_t row = 0; row < rows; ++row) {
        const S *in = x + row * size;
        S *out = y + row * size;
        W squares = 0;
        _Pragma("omp simd reduction(+ : squares)")
        for (int64_t i = 0; i < size; ++i) {
            W value = widen(in[i]);
            squares += value * value;
        }
        W scale = W(1) / std::sqrt(squares / W(size) + W(epsilon));
        inverse[row] = scale;
        LANES
        for (int64_t i = 0; i < size; ++i)
            store(out[i], widen(in[i]) * scale * widen(weight[i]));
    }
}

template <class S>
void rms_norm_backward(const S *d_y, const S *x, const S *weight, const wide_t<S> *inverse, S *d_x, int64_t rows,
                       int64_t size) {
    using W = wide_t<S>;
    EACH_ROW
    for (int64_t row = 0; row < rows; ++row) {
        const S *in = x + row * size, *grad = d_y + row * size;
        S *out = d_x + row * size;
        W scale = inverse[row], along = 0;
        _Pragma("omp simd reduction(+ : along)")
        for (int64_t i = 0; i < size; ++i)
            along += widen(grad[i]) * widen(weight[i]) * widen(in[i]);
        along *= scale * scale / W(size);
        LANES
        for (int64_t i = 0; i < size; ++i)
            store(out[i], (widen(grad[i]) * widen(weight[i]) - widen(in[i]) * along) * scale);
    }
}

template <class S> void gated_forward(const S *gate, const S *up, S *out, int64_t size) {
    using W = wide_t<S>;
    const int64_t block = 4096;
    EACH_ROW
    for (int64_t start = 0; start < size; start += block) {
        int64_t end = start + block < size ? start + block : size;
        LANES
        for (int64_t i = start; i < end; ++i) {
            W g = widen(gate[i]);
            W open = W(1) / (W(1) + exponential(-g));
            store(out[i], g * open * widen(up[i]));
        }
    }
}

template <class S>
void gated_backward(const S *d_out, const S *gate, const S *up, S *d_gate, S *d_up, int64_t size) {
    using W = wide_t<S>;
    const int64_t block = 4096;
    EACH_ROW
    for (int64_t start = 0; start < size; start += block) {
        int64_t end = start + block < size ? start + block : size;
        LANES
        for (int64_t i = start; i < end; ++i) {
            W g = widen(gate[i]), grad = widen(d_out[i]);
            W open = W(1) / (W(1) + exponential(-g));
            store(d_up[i], grad * g * open);
            store(d_gate[i], grad * widen(up[i]) * open * (W(1) + g * (W(1) - open)));
        }
    }
}

const int64_t LANE_COUNT = 16;

// Numbers in steps of LANE_COUNT, so that no loop over them has a slow end: kept by each thread.
template <class W> W *scratch(int64_t size) {
    thread_local std::vector<W> numbers;
    if (int64_t(numbers.size()) < size + LANE_COUNT)
        numbers.resize(size + LANE_COUNT);
    return numbers.data();
}

// Widen `count` numbers into `wide`, after them -infinity up to a whole number of lanes; the greatest of them.
template <class S, class W> W load_line(const S *line, int64_t count, W *wide) {
    LANES
    for (int64_t i = 0; i < count; ++i)
        wide[i] = widen(line[i]);
    int64_t whole = (count + LANE_COUNT - 1) / LANE_COUNT * LANE_COUNT;
    for (int64_t i = count; i < whole; ++i)
        wide[i] = -std::numeric_limits<W>::infinity();
    W most = wide[0];
    for (int64_t start = 0; start < whole; start += LANE_COUNT)
        _Pragma("omp simd reduction(max : most)")
        for (int64_t i = 0; i < LANE_COUNT; ++i)
            most = wide[start + i] > most ? wide[start + i] : most;
    return most;
}

// e^(x - most) of a line that load_line has widened, in place; the sum of it.
template <class W> W exponentials(W *wide, int64_t count, W most) {
    W sums[LANE_COUNT] = {};
    for (int64_t start = 0; start < count; start += LANE_COUNT)
        LANES
        for (int64_t i = 0; i < LANE_COUNT; ++i) {
            wide[start + i] = exponential(wide[start + i] - most);
            sums[i] += wide[start + i];
        }
    W sum = 0;
    for (int64_t i = 0; i < LANE_COUNT; ++i)
        sum += sums[i];
    // What fills the last lanes is e^-87 at most, nothing beside the greatest, which is 1: no need to take it out.
    return sum;
}

// `share` times a widened line to where it came from.
template <class S, class W> void store_line(const W *wide, int64_t count, W share, S *line) {
    LANES
    for (int64_t i = 0; i < count; ++i)
        store(line[i], wide[i] * share);
}

// Scores of a block of queries [batch, queries * group, keys] to weights, in place. Query number i stands at place
// `first + i` of its row and sees the keys up to there, of them the last `window`. log_sums: [batch, queries * group];
// where they are known, `again` says so, and the weights are made of them.
template <class S>
void causal_softmax(S *scores, wide_t<S> *log_sums, int64_t batch, int64_t queries, int64_t group, int64_t keys,
                    int64_t first, int64_t window, int64_t again) {
    using W = wide_t<S>;
    EACH_ROW
    for (int64_t row = 0; row < batch * queries * group; ++row) {
        S *line = scores + row * keys;
        int64_t place = first + (row / group) % queries;
        int64_t end = place + 1 < keys ? place + 1 : keys, start = place + 1 - window > 0 ? place + 1 - window : 0;
        W *wide = scratch<W>(end - start);
        W most = load_line(line + start, end - start, wide), share = W(1);
        if (again) {
            exponentials(wide, end - start, log_sums[row]);
        } else {
            W sum = exponentials(wide, end - start, most);
            log_sums[row] = most + std::log(sum);
            share = W(1) / sum;
        }
        std::memset(static_cast<void *>(line), 0, start * sizeof(S));
        store_line(wide, end - start, share, line + start);
        std::memset(static_cast<void *>(line + end), 0, (keys - end) * sizeof(S));
    }
}

// d_weights [rows, keys] to d_scores, in place: weights * (d_weights - sum(d_weights * weights)).
template <class S> void softmax_backward(S *d_weights, const S *weights, int64_t rows, int64_t keys) {
    using W = wide_t<S>;
    EACH_ROW
    for (int64_t row = 0; row < rows; ++row) {
        S *grad = d_weights + row * keys;
        const S *weight = weights + row * keys;
        W along = 0;
        _Pragma("omp simd reduction(+ : along)")
        for (int64_t i = 0; i < keys; ++i)
            along += widen(grad[i]) * widen(weight[i]);
        LANES
        for (int64_t i = 0; i < keys; ++i)
            store(grad[i], widen(weight[i]) * (widen(grad[i]) - along));
    }
}

// One head of a token, turned by its angle where it has one: the first `turned` of `size` numbers, halves together.
// A positive direction turns forward, a negative one back; back is what gradients take.
template <class S>
inline void turn(const S *in, S *out, const S *cosine, const S *sine, int64_t turned, int64_t size, wide_t<S> direction,
                 wide_t<S> scale) {
    using W = wide_t<S>;
    int64_t half = turned / 2;
    if (!turned && scale == W(1)) {
        std::memcpy(static_cast<void *>(out), in, size * sizeof(S));
        return;
    }
    if (direction > 0) {
        LANES
        for (int64_t i = 0; i < half; ++i) {
            W a = widen(in[i]), b = widen(in[i + half]);
            store(out[i], (a * widen(cosine[i]) - b * widen(sine[i])) * scale);
            store(out[i + half], (b * widen(cosine[i + half]) + a * widen(sine[i + half])) * scale);
        }
    } else {
        LANES
        for (int64_t i = 0; i < half; ++i) {
            W a = widen(in[i]), b = widen(in[i + half]);
            store(out[i], (a * widen(cosine[i]) + b * widen(sine[i + half])) * scale);
            store(out[i + half], (b * widen(cosine[i + half]) - a * widen(sine[i])) * scale);
        }
    }
    LANES
    for (int64_t i = turned; i < size; ++i)
        store(out[i], widen(in[i]) * scale);
}

// Heads of tokens, [T, groups, group, size] with `stride` numbers from token to token and `head_stride` from head to
// head, to rows padded to one length: [rows, groups, length, group, size]. `tokens` [rows, length] says which token lies where, -1 where none.
template <class S>
void pad_heads(const S *flat, int64_t stride, int64_t head_stride, const int64_t *tokens, int64_t rows, int64_t length, int64_t groups,
               int64_t group, int64_t size, const S *cosine, const S *sine, int64_t turned, double scale, S *padded) {
    _Pragma("omp parallel for schedule(static) collapse(2)")
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t head = 0; head < groups; ++head)
            for (int64_t place = 0; place < length; ++place) {
                int64_t token = tokens[row * length + place];
                S *out = padded + ((row * groups + head) * length + place) * group * size;
                if (token < 0) {
                    std::memset(static_cast<void *>(out), 0, group * size * sizeof(S));
                    continue;
                }
                const S *in = flat + token * stride + head * group * head_stride;
                const S *cos_row = turned ? cosine + token * turned : cosine;
                const S *sin_row = turned ? sine + token * turned : sine;
                for (int64_t i = 0; i < group; ++i)
                    turn(in + i * head_stride, out + i * size, cos_row, sin_row, turned, size, wide_t<S>(1),
                         wide_t<S>(scale));
            }
}

// The way back: the tokens at `tokens` [rows, length] (-1: none) get what lies at places `from` on of the padded rows
// [rows, groups, from + length, group, size].
template <class S>
void unpad_heads(const S *padded, int64_t from, const int64_t *tokens, int64_t rows, int64_t length, int64_t groups,
                 int64_t group, int64_t size, const S *cosine, const S *sine, int64_t turned, double scale, S *flat,
                 int64_t stride) {
    _Pragma("omp parallel for schedule(static) collapse(2)")
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t head = 0; head < groups; ++head)
            for (int64_t place = 0; place < length; ++place) {
                int64_t token = tokens[row * length + place];
                if (token < 0)
                    continue;
                const S *in = padded + ((row * groups + head) * (from + length) + from + place) * group * size;
                S *out = flat + token * stride + head * group * size;
                const S *cos_row = turned ? cosine + token * turned : cosine;
                const S *sin_row = turned ? sine + token * turned : sine;
                for (int64_t i = 0; i < group; ++i)
                    turn(in + i * size, out + i * size, cos_row, sin_row, turned, size, wide_t<S>(-1),
                         wide_t<S>(scale));
            }
}

// Logits [rows, size] to softmax(logits) - onehot(label), in place, where `wanted`; the loss of each row.
template <class S>
void cross_entropy(S *logits, const int64_t *labels, wide_t<S> *losses, int64_t rows, int64_t size, int64_t wanted) {
    using W = wide_t<S>;
    EACH_ROW
    for (int64_t row = 0; row < rows; ++row) {
        S *line = logits + row * size;
        W most = -std::numeric_limits<W>::infinity();
        _Pragma("omp simd reduction(max : most)")
        for (int64_t i = 0; i < size; ++i)
            most = widen(line[i]) > most ? widen(line[i]) : most;
        W sum = 0;
        _Pragma("omp simd reduction(+ : sum)")
        for (int64_t i = 0; i < size; ++i)
            sum += exponential(widen(line[i]) - most);
        W own = widen(line[labels[row]]);
        losses[row] = std::log(sum) + most - own;
        if (!wanted)
            continue;
        W share = W(1) / sum;
        LANES
        for (int64_t i = 0; i < size; ++i)
            store(line[i], exponential(widen(line[i]) - most) * share);
        store(line[labels[row]], exponential(own - most) * share - W(1));
    }
}

const int64_t MOST_IN_BLOCK = 256;

// The code of each number of a block, by its share of the largest: the first bits of that share are a place in `lookup`.
inline float encode(const float *numbers, uint8_t *codes, const uint8_t *lookup, int64_t size, int64_t lowest,
                    int64_t last, int64_t shift) {
    float most = 0;
    _Pragma("omp simd reduction(max : most)")
    for (int64_t i = 0; i < size; ++i)
        most = std::fabs(numbers[i]) > most ? std::fabs(numbers[i]) : most;
    float over = most > std::numeric_limits<float>::min() ? most : std::numeric_limits<float>::min();
    int32_t places[MOST_IN_BLOCK];
    LANES
    for (int64_t i = 0; i < size; ++i) {
        float share = std::fabs(numbers[i]) / over;
        int32_t bits;
        std::memcpy(&bits, &share, sizeof bits);
        int32_t place = (bits >> shift) - int32_t(lowest);
        place = place < 0 ? 0 : place;
        places[i] = place > int32_t(last) ? int32_t(last) : place;
    }
    for (int64_t i = 0; i < size; ++i)
        codes[i] = lookup[places[i]];
    return most;
}

// A step of AdamW on moments in bytes, in blocks of `size` numbers; see luthier.kernels.adamw_8bit.
template <class S>
void adamw_8bit(S *weights, const S *gradients, uint8_t *first_codes, float *first_scales, uint8_t *root_codes,
                float *root_scales, const float *first_values, const uint8_t *first_lookup, const float *root_values,
                const uint8_t *root_lookup, int64_t count, int64_t size, int64_t lowest, int64_t last, int64_t shift,
                float beta1, float beta2, float epsilon, double keep, double rate) {
    using W = wide_t<S>;
    EACH_ROW
    for (int64_t block = 0; block < (count + size - 1) / size; ++block) {
        int64_t start = block * size, here = count - start < size ? count - start : size;
        uint8_t *first_code = first_codes + start, *root_code = root_codes + start;
        float first_scale = first_scales[block], root_scale = root_scales[block];
        float first[MOST_IN_BLOCK], root[MOST_IN_BLOCK];
        for (int64_t i = 0; i < here; ++i) {
            first[i] = first_values[first_code[i]] * first_scale;
            root[i] = root_values[root_code[i]] * root_scale;
        }
        LANES
        for (int64_t i = 0; i < here; ++i) {
            float gradient = float(widen(gradients[start + i]));
            first[i] += (1.0f - beta1) * (gradient - first[i]);
            root[i] = std::sqrt(beta2 * root[i] * root[i] + (1.0f - beta2) * gradient * gradient);
            W change = W(first[i] / (root[i] + epsilon));
            store(weights[start + i], widen(weights[start + i]) * W(keep) - W(rate) * change);
        }
        first_scales[block] = encode(first, first_code, first_lookup, here, lowest, last, shift);
        root_scales[block] = encode(root, root_code, root_lookup, here, lowest, last, shift);
        for (int64_t i = 0; i < here; ++i)
            first_code[i] |= std::signbit(first[i]) ? 128 : 0;
    }
}

} // namespace

#define FOR_TYPE(S, suffix)                                                                                            \
    extern "C" void rms_norm_forward_##suffix(const S *x, const S *weight, S *y, wide_t<S> *inverse, int64_t rows,     \
                                              int64_t size, double epsilon) {                                          \
        rms_norm_forward(x, weight, y, inverse, rows, size, epsilon);                                                  \
    }                                                                                                                  \
    extern "C" void rms_norm_backward_##suffix(const S *d_y, const S *x, const S *weight, const wide_t<S> *inverse,    \
                                               S *d_x, int64_t rows, int64_t size) {                                   \
        rms_norm_backward(d_y, x, weight, inverse, d_x, rows, size);                                                   \
    }                                                                                                                  \
    extern "C" void gated_forward_##suffix(const S *gate, const S *up, S *out, int64_t size) {                         \
        gated_forward(gate, up, out, size);                                                                            \
    }                                                                                                                  \
    extern "C" void gated_backward_##suffix(const S *d_out, const S *gate, const S *up, S *d_gate, S *d_up,            \
                                            int64_t size) {                                                            \
        gated_backward(d_out, gate, up, d_gate, d_up, size);                                                           \
    }                                                                                                                  \
    extern "C" void causal_softmax_##suffix(S *scores, wide_t<S> *log_sums, int64_t batch, int64_t queries,            \
                                            int64_t group, int64_t keys, int64_t first, int64_t window,                \
                                            int64_t again) {                                                           \
        causal_softmax(scores, log_sums, batch, queries, group, keys, first, window, again);                           \
    }                                                                                                                  \
    extern "C" void softmax_backward_##suffix(S *d_weights, const S *weights, int64_t rows, int64_t keys) {            \
        softmax_backward(d_weights, weights, rows, keys);                                                              \
    }                                                                                                                  \
    extern "C" void pad_heads_##suffix(const S *flat, int64_t stride, int64_t head_stride, const int64_t *tokens,         \
                                       int64_t rows,             \
                                       int64_t length, int64_t groups, int64_t group, int64_t size, const S *cosine,   \
                                       const S *sine, int64_t turned, double scale, S *padded) {                       \
        pad_heads(flat, stride, head_stride, tokens, rows, length, groups, group, size, cosine, sine, turned, scale, padded);       \
    }                                                                                                                  \
    extern "C" void unpad_heads_##suffix(const S *padded, int64_t from, const int64_t *tokens, int64_t rows,           \
                                         int64_t length, int64_t groups, int64_t group, int64_t size, const S *cosine, \
                                         const S *sine, int64_t turned, double scale, S *flat, int64_t stride) {       \
        unpad_heads(padded, from, tokens, rows, length, groups, group, size, cosine, sine, turned, scale, flat,        \
                    stride);                                                                                           \
    }                                                                                                                  \
    extern "C" void cross_entropy_##suffix(S *logits, const int64_t *labels, wide_t<S> *losses, int64_t rows,          \
                                           int64_t size, int64_t wanted) {                                             \
        cross_entropy(logits, labels, losses, rows, size, wanted);                                                     \
    }                                                                                                                  \
    extern "C" void adamw_8bit_##suffix(S *weights, const S *gradients, uint8_t *first_codes, float *first_scales,     \
                                        uint8_t *root_codes, float *root_scales, const float *first_values,            \
                                        const uint8_t *first_lookup, const float *root_values,                         \
                                        const uint8_t *root_lookup, int64_t count, int64_t size, int64_t lowest,       \
                                        int64_t last, int64_t shift, double beta1, double beta2, double epsilon,       \
                                        double keep, double rate) {                                                    \
        adamw_8bit(weights, gradients, first_codes, first_scales, root_codes, root_scales, first_values, first_lookup, \
                   root_values, root_lookup, count, size, lowest, last, shift, float(beta1), float(beta2),             \
                   float(epsilon), keep, rate);                                                                        \
    }

FOR_TYPE(bf16, bf16)
FOR_TYPE(float, f32)
FOR_TYPE(double, f64)
