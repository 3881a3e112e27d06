/**
 * The engine that runs wherever tfjs does: products with frozen weights on tfjs's wasm backend, or
 * in plain JavaScript.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import {
  product,
  type Engine,
  type FreezeOptions,
  type FrozenWeight,
  type QuantizedParts,
  type TensorSource,
} from '@peft/ops';
import { portableSizing } from './portable-sizing.js';
import { PortableWeight } from './portable-weight.js';
import { startBackend, type PortableBackend, type StartedBackend } from './start-backend.js';
import { matrixShape, storeParts, storeSource } from './stored-weight.js';

/** Where the portable engine computes. */
export interface PortableEngineOptions {
  /**
   * Default: `wasm`, or `cpu` (plain JavaScript, far slower) where wasm cannot start; `description`
   * says which.
   */
  readonly backend?: PortableBackend;
}

/**
 * Makes the engine and starts its tfjs backend; `activate()` makes that the current one.
 *
 * @returns the engine; its `description` says which backend it runs on
 * @throws PEFT_BACKEND_UNAVAILABLE when `backend: 'wasm'` was asked for and cannot start;
 *   PEFT_CONFIG_INVALID for another backend or an unknown option
 * @example
 * const engine = await createPortableEngine();
 * await engine.activate();
 * const weight = engine.freeze(memorySource('w', [2, 3], Float32Array.of(1, 0, 0, 0, 1, 0)));
 * engine.linear(tf.tensor2d([[5, 6, 7]]), weight).print(); // [[5, 6]]
 */
export async function createPortableEngine(options: PortableEngineOptions = {}): Promise<Engine> {
  check.knownKeys('portable', options, ['backend']);
  if (options.backend !== undefined)
    check.oneOf('portable', 'backend', options.backend, ['wasm', 'cpu']);
  return new PortableEngine(await startBackend(options.backend));
}

class PortableEngine implements Engine {
  readonly name = 'portable';
  readonly precision = 'float32';
  readonly sizing = portableSizing;
  readonly backendName: string;
  readonly description: string;

  constructor(backend: StartedBackend) {
    this.backendName = backend.name;
    this.description = `portable (${backend.description}, float32)`;
  }

  async activate(): Promise<void> {
    await tf.setBackend(this.backendName);
  }

  freeze(source: TensorSource, options: FreezeOptions = {}): FrozenWeight {
    const { stored, shape } = storeSource(source, options);
    return new PortableWeight(this, source.name, shape, stored);
  }

  freezeQuantized(parts: QuantizedParts): FrozenWeight {
    return new PortableWeight(
      this,
      parts.name,
      matrixShape(parts.name, parts.shape),
      storeParts(parts),
    );
  }

  quantizedParts(weight: FrozenWeight): QuantizedParts {
    const { parts } = this.#own(weight);
    if (!parts)
      throw new PeftError(
        'PEFT_WEIGHT_FORMAT',
        `portable: ${weight.name} is stored as ${weight.format}, which has no quantised parts.`,
      );
    return { ...parts, name: weight.name };
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    const own = this.#own(weight);
    if (x.shape[1] !== own.shape[1]) throw shapeError(own, 'linear', own.shape[1], x.shape);
    return tf.tidy(() => {
      const y = own.withMatrix((matrix, transposed) => product(x, matrix, false, !transposed));
      return bias ? tf.add(y, bias) : y;
    });
  }

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    const own = this.#own(weight);
    if (dy.shape[1] !== own.shape[0])
      throw shapeError(own, 'linearInputGradient', own.shape[0], dy.shape);
    return tf.tidy(() =>
      own.withMatrix((matrix, transposed) => product(dy, matrix, false, transposed)),
    );
  }

  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    const own = this.#own(weight);
    const [rows, width] = own.shape;
    const outside = ids.findIndex((id) => id < 0 || id >= rows);
    if (outside >= 0) {
      throw new PeftError(
        'PEFT_TOKEN_ID_RANGE',
        `embed: index ${ids[outside]} at position ${outside} is outside the ${rows} rows of ${own.name}.`,
        {
          hint: 'the tokenizer and the model are probably not a pair, or a text is longer than the model allows',
        },
      );
    }
    const values = new Float32Array(ids.length * width);
    ids.forEach((id, n) => values.set(own.rows(id, 1), n * width));
    return tf.tensor2d(values, [ids.length, width]);
  }

  dequantize(weight: FrozenWeight): Tensor {
    const own = this.#own(weight);
    return tf.tensor2d(own.rows(0, own.shape[0]), [...own.shape]);
  }

  dispose(): void {
    // Weights free themselves, and the tfjs backend is shared with whoever else uses it.
  }

  #own(weight: FrozenWeight): PortableWeight {
    if (!(weight instanceof PortableWeight) || weight.engine !== this) {
      throw new PeftError(
        'PEFT_WEIGHT_ENGINE',
        `${weight.name}: the weight belongs to the engine "${weight.engine.name}", not to this one.`,
        { hint: 'load the model with the engine that runs it' },
      );
    }
    if (weight.isDisposed)
      throw new PeftError('PEFT_WEIGHT_DISPOSED', `${weight.name}: the weight was disposed of.`, {
        hint: 'load the model again',
      });
    return weight;
  }
}

function shapeError(
  weight: PortableWeight,
  operation: string,
  width: number,
  got: readonly number[],
): PeftError {
  return new PeftError(
    'PEFT_SHAPE_MISMATCH',
    `${operation}: ${weight.name} takes [N, ${width}], got [${got.join(', ')}].`,
  );
}
