// Numbers of the operations, the same as in binding.ts.
#pragma once

namespace peft {

enum class Activation : int {
  gelu,
  geluTanh,
  geluQuick,
  relu,
  reluSquared,
  silu,
  tanh,
  sigmoid,
  leakyRelu,
  count
};
enum class Binary : int {
  add,
  subtract,
  multiply,
  divide,
  maximum,
  minimum,
  squaredDifference,
  count
};
enum class Unary : int {
  negate,
  absolute,
  square,
  sqrt,
  rsqrt,
  reciprocal,
  exp,
  log,
  tanh,
  sigmoid,
  relu,
  step,
  erf,
  count
};
enum class Layout : int { full, row, column, scalar, count };
enum class Reduction : int { sum, mean, maximum, sumOfSquares, count };

}  // namespace peft
