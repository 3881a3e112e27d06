/**
 * 8-bit optimisers: states of parameters with at least 4,096 elements are stored as codes of
 * bitsandbytes' dynamic maps, one float32 maximum per 256 values; smaller parameters keep float32
 * states. The arithmetic is float32's, as bitsandbytes' CPU path: weight decay comes before the
 * update, and a code is the nearest one also when a first moment changes its sign (its CUDA kernels
 * differ in both).
 *
 * @see Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization
 */
import { check } from '@peft/errors';
import { dynamicMap } from '@peft/ops';
import { adamCoefficients, adamDefaults, decoupledAdam, type AdamOptions } from '../rules/adamw.js';
import { blockQuantizer, STATE_BLOCK } from './blockwise-8bit.js';
import { defineOptimizer, elementwise, type ElementwiseKernel } from '../rules/define-optimizer.js';
import { lionDefaults, lionKernel, type LionOptions } from '../rules/lion.js';
import type { Optimizer } from '../rules/optimizer.js';
import { momentumKernel } from '../rules/sgd.js';
import type { SlotSpec } from './slots.js';

/** What all 8-bit optimisers can be told beside their own settings. */
export interface EightBitOptions {
  /** Parameters with fewer elements keep float32 states. Default 4096. */
  readonly minimumElements?: number;
}

/**
 * AdamW with 8-bit states: 2 + 8/256 bytes an element instead of 8. State: `state1`, `state2`
 * (codes), `absmax1`, `absmax2`; below the minimum `state1`, `state2` in float32.
 * @throws PEFT_CONFIG_INVALID for an option out of range.
 */
export function adamw8bit(options: AdamOptions & EightBitOptions = {}): Optimizer {
  return adam8bitNamed('adamw_8bit', options);
}

/**
 * Adam with 8-bit states. As in bitsandbytes its weight decay is decoupled, too: it differs from
 * `adamw8bit` by name only.
 */
export function adam8bit(options: AdamOptions & EightBitOptions = {}): Optimizer {
  return adam8bitNamed('adam_8bit', options);
}

function adam8bitNamed(
  name: string,
  { minimumElements = 4096, ...options }: AdamOptions & EightBitOptions,
): Optimizer {
  check.nonNegativeInteger(name, 'minimumElements', minimumElements);
  const settings = adamDefaults(name, options);
  return defineOptimizer({
    name,
    slots: (shape) => eightBitSlots(shape, 2, minimumElements),
    updateParameter: elementwise(either(decoupledAdam(settings), adamBlocks(settings))),
  });
}

/**
 * Lion with an 8-bit state: 1 + 4/256 bytes an element instead of 4. State: `state1`, `absmax1`.
 * @throws PEFT_CONFIG_INVALID for an option out of range.
 */
export function lion8bit({
  minimumElements = 4096,
  ...options
}: LionOptions & EightBitOptions = {}): Optimizer {
  check.nonNegativeInteger('lion_8bit', 'minimumElements', minimumElements);
  const settings = lionDefaults('lion_8bit', options);
  return defineOptimizer({
    name: 'lion_8bit',
    slots: (shape) => eightBitSlots(shape, 1, minimumElements),
    updateParameter: elementwise(
      either(lionKernel(settings), oneStateBlocks(lionKernel(settings))),
    ),
  });
}

/**
 * SGD with an 8-bit momentum: 1 + 4/256 bytes an element instead of 4. State: `state1`, `absmax1`.
 * @throws PEFT_CONFIG_INVALID for an option out of range; a momentum of 0 would have no state.
 */
export function momentum8bit({
  minimumElements = 4096,
  momentum = 0.9,
}: { readonly momentum?: number } & EightBitOptions = {}): Optimizer {
  check.nonNegativeInteger('momentum_8bit', 'minimumElements', minimumElements);
  check.positive('momentum_8bit', 'momentum', momentum);
  check.probability('momentum_8bit', 'momentum', momentum);
  const kernel = momentumKernel(momentum, false);
  return defineOptimizer({
    name: 'momentum_8bit',
    slots: (shape) => eightBitSlots(shape, 1, minimumElements),
    updateParameter: elementwise(either(kernel, oneStateBlocks(kernel))),
  });
}

function eightBitSlots(
  shape: readonly number[],
  moments: 1 | 2,
  minimumElements: number,
): SlotSpec[] {
  const elements = shape.reduce((product, size) => product * size, 1);
  const numbers = moments === 2 ? [1, 2] : [1];
  if (elements < minimumElements)
    return numbers.map((k) => ({ name: `state${k}`, dtype: 'F32', shape, span: 1 }));
  const blocks = Math.ceil(elements / STATE_BLOCK);
  return [
    ...numbers.map((k): SlotSpec => ({ name: `state${k}`, dtype: 'U8', shape, span: 1 })),
    ...numbers.map((k): SlotSpec => ({
      name: `absmax${k}`,
      dtype: 'F32',
      shape: [blocks],
      span: STATE_BLOCK,
    })),
  ];
}

function either(full: ElementwiseKernel, blocks: ElementwiseKernel): ElementwiseKernel {
  return (values, gradient, arrays, context) =>
    (arrays[0] instanceof Uint8Array ? blocks : full)(values, gradient, arrays, context);
}

/** Runs a kernel of one float32 state on blocks of codes; arrays `[state1, absmax1]`. */
function oneStateBlocks(kernel: ElementwiseKernel): ElementwiseKernel {
  const quantizer = blockQuantizer(dynamicMap(true));
  const scratch = new Float32Array(STATE_BLOCK);
  return (values, gradient, arrays, context) => {
    // as eightBitSlots orders them
    const codes = arrays[0] as Uint8Array;
    const absmax = arrays[1] as Float32Array;
    for (let start = 0, block = 0; start < values.length; start += STATE_BLOCK, block += 1) {
      const count = Math.min(STATE_BLOCK, values.length - start);
      const scale = absmax[block]!;
      for (let i = 0; i < count; i += 1) scratch[i] = quantizer.map[codes[start + i]!]! * scale;
      kernel(
        values.subarray(start, start + count),
        gradient.subarray(start, start + count),
        [scratch.subarray(0, count)],
        context,
      );
      absmax[block] = quantizer.quantize(scratch, count, codes, start);
    }
  };
}

/** AdamW on blocks of codes; arrays `[state1, state2, absmax1, absmax2]`. */
function adamBlocks({ beta1, beta2, epsilon }: Required<AdamOptions>): ElementwiseKernel {
  const first = blockQuantizer(dynamicMap(true));
  const second = blockQuantizer(dynamicMap(false));
  const m = new Float32Array(STATE_BLOCK);
  const v = new Float32Array(STATE_BLOCK);
  return (values, gradient, arrays, context) => {
    // as eightBitSlots orders them
    const [codes1, codes2] = arrays.slice(0, 2) as Uint8Array[] as [Uint8Array, Uint8Array];
    const [absmax1, absmax2] = arrays.slice(2) as Float32Array[] as [Float32Array, Float32Array];
    const { gradientScale } = context;
    const { stepSize, rootCorrection, shrink } = adamCoefficients(beta1, beta2, context);
    for (let start = 0, block = 0; start < values.length; start += STATE_BLOCK, block += 1) {
      const count = Math.min(STATE_BLOCK, values.length - start);
      const scale1 = absmax1[block]!;
      const scale2 = absmax2[block]!;
      for (let k = 0, i = start; k < count; k += 1, i += 1) {
        const g = Math.fround(gradient[i]! * gradientScale);
        m[k] = Math.fround(first.map[codes1[i]!]! * scale1) * beta1 + (1 - beta1) * g;
        v[k] = Math.fround(second.map[codes2[i]!]! * scale2) * beta2 + (1 - beta2) * g * g;
        values[i] =
          values[i]! * shrink - (stepSize * m[k]!) / (Math.sqrt(v[k]!) / rootCorrection + epsilon);
      }
      absmax1[block] = first.quantize(m, count, codes1, start);
      absmax2[block] = second.quantize(v, count, codes2, start);
    }
  };
}
