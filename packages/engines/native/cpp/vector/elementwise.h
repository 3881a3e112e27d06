// Elementwise operations over runs of elements.
#pragma once
#include <cstdint>
#include "../core/operation-codes.h"
#include "map.h"
#include "math.h"

namespace peft::PEFT_ISA {

/** Larger or smaller of two; NaN where either is. */
inline vf largerOf(vf a, vf b) {
  return select(isNaN(a), a, select(gt(a, b), a, b));
}
inline vf smallerOf(vf a, vf b) {
  return select(isNaN(a), a, select(lt(a, b), a, b));
}

/** y = a ∘ b; an operand whose step is 0 is one number for the whole run. */
template <class F>
inline void binaryWith(const float* a, bool constantA, const float* b, bool constantB, float* y,
                       int64_t n, F f) {
  if (constantA && constantB) {
    const vf both = f(set(*a), set(*b));
    map1(y, y, n, [&](vf) { return both; });
  } else if (constantA) {
    const vf left = set(*a);
    map1(b, y, n, [&](vf right) { return f(left, right); });
  } else if (constantB) {
    const vf right = set(*b);
    map1(a, y, n, [&](vf left) { return f(left, right); });
  } else {
    map2(a, b, y, n, f);
  }
}

inline void binaryRun(Binary operation, const float* a, bool constantA, const float* b,
                      bool constantB, float* y, int64_t n) {
  auto run = [&](auto f) { binaryWith(a, constantA, b, constantB, y, n, f); };
  switch (operation) {
    case Binary::add:
      run([](vf l, vf r) { return l + r; });
      break;
    case Binary::subtract:
      run([](vf l, vf r) { return l - r; });
      break;
    case Binary::multiply:
      run([](vf l, vf r) { return l * r; });
      break;
    case Binary::divide:
      run([](vf l, vf r) { return l / r; });
      break;
    case Binary::maximum:
      run([](vf l, vf r) { return largerOf(l, r); });
      break;
    case Binary::minimum:
      run([](vf l, vf r) { return smallerOf(l, r); });
      break;
    default:
      run([](vf l, vf r) { return (l - r) * (l - r); });
      break;
  }
}

inline void unaryRun(Unary operation, const float* x, float* y, int64_t n) {
  auto run = [&](auto f) { map1(x, y, n, f); };
  const vf one = set(1.0f);
  switch (operation) {
    case Unary::negate:
      run([](vf a) { return fromBits(bits(a) ^ seti(static_cast<int32_t>(0x80000000u))); });
      break;
    case Unary::absolute:
      run([](vf a) { return abs(a); });
      break;
    case Unary::square:
      run([](vf a) { return a * a; });
      break;
    case Unary::sqrt:
      run([](vf a) { return sqrt(a); });
      break;
    case Unary::rsqrt:
      run([&](vf a) { return one / sqrt(a); });
      break;
    case Unary::reciprocal:
      run([&](vf a) { return one / a; });
      break;
    case Unary::exp:
      run([](vf a) { return exp(a); });
      break;
    case Unary::log:
      run([](vf a) { return log(a); });
      break;
    case Unary::tanh:
      run([](vf a) { return tanh(a); });
      break;
    case Unary::sigmoid:
      run([](vf a) { return sigmoid(a); });
      break;
    case Unary::relu:
      run([](vf a) { return select(lt(a, zero()), zero(), a); });
      break;
    case Unary::step:
      run([&](vf a) { return select(isNaN(a), a, select(gt(a, zero()), one, zero())); });
      break;
    default:
      run([](vf a) { return erf(a); });
      break;
  }
}

inline void clipRun(const float* x, float* y, int64_t n, float minimum, float maximum) {
  const vf low = set(minimum), high = set(maximum);
  map1(x, y, n, [&](vf a) { return select(gt(a, high), high, select(lt(a, low), low, a)); });
}

inline void fillRun(float* y, int64_t n, float value) {
  const vf all = set(value);
  int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, all);
  if (i < n) storen(y + i, all, n - i);
}

/** y += x */
inline void addRun(const float* x, float* y, int64_t n) {
  map2(x, y, y, n, [](vf a, vf b) { return a + b; });
}

/** y += a·b */
inline void multiplyAddRun(const float* a, const float* b, float* y, int64_t n) {
  map3(a, b, y, y, n, [](vf l, vf r, vf total) { return fma(l, r, total); });
}

/** Σ a·b */
inline float dot(const float* a, const float* b, int64_t n) {
  return sumOf(n,
               [&](int64_t i, int64_t lanes) { return loadn(a + i, lanes) * loadn(b + i, lanes); });
}

inline float sumRun(const float* x, int64_t n) {
  return sumOf(n, [&](int64_t i, int64_t lanes) { return loadn(x + i, lanes); });
}

/** The largest; −infinity of none; NaN where one is. */
inline float maximumRun(const float* x, int64_t n) {
  const vf lowest = fromBits(seti(static_cast<int32_t>(0xff800000u)));
  vf most = lowest;
  int64_t i = 0;
  for (; i + W <= n; i += W) most = largerOf(most, load(x + i));
  float lane[W];
  store(lane, most);
  float result = lane[0];
  auto take = [&](float value) {
    if (value > result || value != value) result = value;
  };
  for (int j = 1; j < W && result == result; j++) take(lane[j]);
  for (; i < n && result == result; i++) take(x[i]);
  return result;
}

inline float reduceRun(Reduction operation, const float* x, int64_t n) {
  switch (operation) {
    case Reduction::sum:
      return sumRun(x, n);
    case Reduction::mean:
      return sumRun(x, n) / static_cast<float>(n);
    case Reduction::maximum:
      return maximumRun(x, n);
    default:
      return dot(x, x, n);
  }
}

/** x_i·keep_i/(1−rate), keep_i = u(key, first + i) ≥ rate; see counter-random.ts. */
inline vi mix32(vi h) {
  h = h ^ shr<16>(h);
  h = h * seti(static_cast<int32_t>(0x85ebca6bu));
  h = h ^ shr<13>(h);
  h = h * seti(static_cast<int32_t>(0xc2b2ae35u));
  return h ^ shr<16>(h);
}

/** 1/(1−rate) or 0 for the elements with numbers `first` … `first`+W−1. */
inline vf dropoutFactor(uint32_t first, float rate, float kept, uint32_t key0, uint32_t key1) {
  const vi number = seti(static_cast<int32_t>(first)) + iota();
  const vi hash =
      mix32(mix32(number ^ seti(static_cast<int32_t>(key0))) + seti(static_cast<int32_t>(key1)));
  const vf uniform = toFloat(shr<8>(hash)) * set(0x1p-24f);
  return select(lt(uniform, set(rate)), zero(), set(kept));
}

inline void dropoutRun(const float* x, float* y, uint32_t first, int64_t n, float rate, float kept,
                       uint32_t key0, uint32_t key1) {
  for (int64_t i = 0; i < n; i += W) {
    const int64_t lanes = n - i < W ? n - i : W;
    storen(y + i,
           loadn(x + i, lanes) *
               dropoutFactor(first + static_cast<uint32_t>(i), rate, kept, key0, key1),
           lanes);
  }
}

}  // namespace peft::PEFT_ISA
