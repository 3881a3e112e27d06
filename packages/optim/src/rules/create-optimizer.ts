/**
 * Optimisers by name, for run files and command lines. A third party's optimiser is passed as the
 * value it is instead.
 */
import { check } from '@peft/errors';
import { adafactor } from './adafactor.js';
import { adam, adamw } from './adamw.js';
import { adam8bit, adamw8bit, lion8bit, momentum8bit } from '../state/eight-bit.js';
import { lion } from './lion.js';
import type { Optimizer } from './optimizer.js';
import { sgd } from './sgd.js';

type OptionsOf<F> = F extends (options?: infer O) => unknown ? O : never;

/** Options of each optimiser. */
export interface OptimizerOptions {
  adamw: OptionsOf<typeof adamw>;
  adam: OptionsOf<typeof adam>;
  sgd: OptionsOf<typeof sgd>;
  lion: OptionsOf<typeof lion>;
  adafactor: OptionsOf<typeof adafactor>;
  adamw_8bit: OptionsOf<typeof adamw8bit>;
  adam_8bit: OptionsOf<typeof adam8bit>;
  lion_8bit: OptionsOf<typeof lion8bit>;
  momentum_8bit: OptionsOf<typeof momentum8bit>;
}

/** A name that `createOptimizer` knows, for instance `adamw_8bit`. */
export type OptimizerName = keyof OptimizerOptions;

type Table = {
  readonly [K in OptimizerName]: {
    readonly make: (options?: OptimizerOptions[K]) => Optimizer;
    readonly keys: readonly (keyof NonNullable<OptimizerOptions[K]> & string)[];
  };
};

const ADAM = ['beta1', 'beta2', 'epsilon'] as const;

const TABLE: Table = {
  adamw: { make: adamw, keys: ADAM },
  adam: { make: adam, keys: ADAM },
  sgd: { make: sgd, keys: ['momentum', 'nesterov'] },
  lion: { make: lion, keys: ['beta1', 'beta2'] },
  adafactor: {
    make: adafactor,
    keys: [
      'epsilon1',
      'epsilon2',
      'clipThreshold',
      'decayRate',
      'beta1',
      'scaleParameter',
      'relativeStep',
      'warmupInit',
    ],
  },
  adamw_8bit: { make: adamw8bit, keys: [...ADAM, 'minimumElements'] },
  adam_8bit: { make: adam8bit, keys: [...ADAM, 'minimumElements'] },
  lion_8bit: { make: lion8bit, keys: ['beta1', 'beta2', 'minimumElements'] },
  momentum_8bit: { make: momentum8bit, keys: ['momentum', 'minimumElements'] },
};

/** Every name that `createOptimizer` knows. */
export const OPTIMIZER_NAMES = Object.freeze(Object.keys(TABLE) as OptimizerName[]);

/**
 * An optimiser by name.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, both with the nearest names.
 */
export function createOptimizer<K extends OptimizerName>(
  name: K,
  options?: OptimizerOptions[K],
): Optimizer {
  check.oneOf('optim', 'optimizer', name, OPTIMIZER_NAMES);
  check.knownKeys(name, options ?? {}, TABLE[name].keys);
  return TABLE[name].make(options);
}
