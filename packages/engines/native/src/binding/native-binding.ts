/**
 * The functions of the compiled addon.
 *
 * Every function works on typed arrays that the caller provides; none keeps a reference to one
 * after it returns. All matrices are row-major. An array may be longer than its shape needs (a
 * reused buffer), never shorter. Outputs are overwritten whole, unless `accumulate` says otherwise,
 * and need no zeroing. An output must not overlap an input, except where the comment says "in
 * place". A wrong type, a short array, a size that is negative, not an integer or too large, or a
 * freed weight throws an `Error` with `code: 'PEFT_NATIVE_ARGUMENT'` before anything is written.
 *
 * Axes: N tokens of a packed batch, B sequences, D model width, H heads, E width of a head, V
 * vocabulary, P extra keys.
 */
import type { ActivationFunctions } from './activations.js';
import type { AttentionFunctions } from './attention.js';
import type { BlockFunctions } from './blocks.js';
import type { ElementwiseFunctions } from './elementwise.js';
import type { MachineFunctions } from './machine.js';
import type { NormFunctions } from './norms.js';
import type { OptimizerFunctions } from './optimizer.js';
import type { ProductFunctions } from './products.js';
import type { RowFunctions } from './rows.js';
import type { ShapeFunctions } from './shapes.js';
import type { WeightFunctions } from './weights.js';

/** All functions, each group in a file named as its C++. */
export interface NativeBinding
  extends
    ActivationFunctions,
    AttentionFunctions,
    BlockFunctions,
    ElementwiseFunctions,
    MachineFunctions,
    NormFunctions,
    OptimizerFunctions,
    ProductFunctions,
    RowFunctions,
    ShapeFunctions,
    WeightFunctions {}
