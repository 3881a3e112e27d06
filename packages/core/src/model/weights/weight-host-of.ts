/** The base tensors of a model as adapters reach them. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { onHost, type Engine, type FrozenWeight } from '@peft/ops';
import type { WeightHost } from '../../adapter/weight-host.js';
import type { ShardedWeight } from '../shards/sharded-weight.js';
import { freezeChanged, readTensor } from '../merging/merge.js';

/** Told of a weight that was borrowed because it lies elsewhere. */
export type KeepBorrowed = (borrowed: { dispose(): void }) => unknown;

/** What a {@link weightHostOf} reads of its model. */
interface HostParts {
  base(name: string): FrozenWeight | Tensor;
  /** Whether a weight lies here, and whole. */
  holds(name: string): boolean;
  /** The weight that stands for one whose bytes ranks share. */
  sharedWeight(name: string): ShardedWeight | undefined;
  /** Values that were kept where the engine's memory is a device's, which is not read at once. */
  hostValues(name: string): Float32Array | undefined;
  /** Reads one that lies elsewhere; absent where only what is here may be read. */
  readonly borrow: ((name: string) => FrozenWeight | Tensor) | undefined;
  /** Gets what was borrowed as a weight, to dispose it when the adapter is attached. */
  readonly keep: KeepBorrowed | undefined;
  readonly engine: Engine;
}

/** The base tensors of a model, those of other stages among them while an adapter attaches. */
export function weightHostOf(parts: HostParts): WeightHost {
  const { base, holds, sharedWeight, hostValues, borrow, keep, engine } = parts;
  const own = (name: string): Tensor => {
    const values = hostValues(name);
    return onHost(engine, () =>
      values ? tf.tensor(values, [...base(name).shape], 'float32') : readTensor(base(name)),
    );
  };
  return {
    readBase: (name) => {
      if (holds(name) || !borrow) return own(name);
      const weight = borrow(name);
      try {
        return onHost(engine, () => readTensor(weight));
      } finally {
        weight.dispose();
      }
    },
    matrix: (name) => {
      if (holds(name) || !borrow) return base(name) as FrozenWeight;
      const shared = sharedWeight(name);
      if (shared) {
        shared.lend(() => borrow(name) as FrozenWeight);
        keep?.({ dispose: () => shared.release() });
        return shared;
      }
      const weight = borrow(name);
      keep?.(weight);
      return weight as FrozenWeight;
    },
    vector: (name) => base(name) as Tensor,
    freezeMatrix: (name, weight) => {
      if (holds(name)) return freezeChanged(name, weight, engine);
      weight.dispose();
      if (!sharedWeight(name)) return base(name) as FrozenWeight; // which says where it is
      throw new PeftError(
        'PEFT_WEIGHT_ELSEWHERE',
        `${name} lies in parts on several ranks: it cannot be replaced by another weight.`,
        {
          hint: 'leave out --shard-base, or take a start of the adapter that leaves the base alone',
        },
      );
    },
  };
}

/** Attaches with weights of other stages at hand, and frees what was borrowed of them. */
export function withBorrowed<T>(
  hostOf: (keep: KeepBorrowed) => WeightHost,
  attach: (host: WeightHost) => T,
): T {
  const borrowed: { dispose(): void }[] = [];
  try {
    return attach(hostOf((weight) => borrowed.push(weight)));
  } finally {
    for (const weight of borrowed) weight.dispose();
  }
}
