/** Weights whose bytes lie in parts on several ranks, and the engine that computes with them. */
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type { Engine, FrozenWeight, QuantizedParts, WeightFormat } from '@peft/ops';
import { WrappingEngine } from '../weights/wrapping-engine.js';

/** It computes while it is gathered: what a tape keeps of it is this, not what it was made of. */
export class ShardedWeight implements FrozenWeight {
  isDisposed = false;
  #gathered: FrozenWeight | undefined;
  #lend: (() => FrozenWeight) | undefined;

  /** @param byteLength of this rank's part */
  constructor(
    readonly engine: Engine,
    readonly name: string,
    readonly shape: readonly number[],
    readonly format: WeightFormat,
    readonly byteLength: number,
    private readonly ranks: number,
  ) {}

  /** @throws PEFT_WEIGHT_ELSEWHERE */
  use<T>(compute: (whole: FrozenWeight) => T): T {
    if (this.#gathered) return compute(this.#gathered);
    if (!this.#lend) throw this.#elsewhere();
    const lent = this.#lend();
    try {
      return compute(lent);
    } finally {
      lent.dispose();
    }
  }

  /** The whole weight, which is disposed of with `release`. */
  hold(gathered: FrozenWeight): void {
    this.#gathered = gathered;
  }

  /** Each use makes the whole weight for itself, while an adapter is attached. */
  lend(make: () => FrozenWeight): void {
    this.#lend = make;
  }

  release(): void {
    this.#gathered?.dispose();
    this.#gathered = undefined;
    this.#lend = undefined;
  }

  dispose(): void {
    this.release();
    this.isDisposed = true;
  }

  #elsewhere(): PeftError {
    return new PeftError(
      'PEFT_WEIGHT_ELSEWHERE',
      `${this.name} lies in parts on ${this.ranks} ranks and is not gathered now.`,
      {
        hint:
          'train and predict of @peft/trainer gather it; merging, generating and exporting need the ' +
          'whole model in one process: leave out --shard-base, or shardRanks of loadModel',
      },
    );
  }
}

/** An engine whose weights are {@link ShardedWeight}s of another. */
export const shardedEngine = (engine: Engine): Engine => new ShardedEngine(engine);

const using = <T>(weight: FrozenWeight, compute: (whole: FrozenWeight) => T): T =>
  (weight as ShardedWeight).use(compute);

class ShardedEngine extends WrappingEngine {
  readonly linearActivated?: NonNullable<Engine['linearActivated']>;
  readonly linearAdded?: NonNullable<Engine['linearAdded']>;
  readonly linearAddedGradient?: NonNullable<Engine['linearAddedGradient']>;
  readonly linearCrossEntropy?: NonNullable<Engine['linearCrossEntropy']>;

  constructor(engine: Engine) {
    super(engine);
    if (engine.linearActivated)
      this.linearActivated = (x, weight, ...rest) =>
        using(weight, (whole) => engine.linearActivated!(x, whole, ...rest));
    if (engine.linearAdded)
      this.linearAdded = (x, weight, ...rest) =>
        using(weight, (whole) => engine.linearAdded!(x, whole, ...rest));
    if (engine.linearAddedGradient)
      this.linearAddedGradient = (dy, weight, ...rest) =>
        using(weight, (whole) => engine.linearAddedGradient!(dy, whole, ...rest));
    if (engine.linearCrossEntropy)
      this.linearCrossEntropy = (x, weight, ...rest) =>
        using(weight, (whole) => engine.linearCrossEntropy!(x, whole, ...rest));
  }

  override quantizedParts(weight: FrozenWeight): QuantizedParts {
    return using(weight, (whole) => this.engine.quantizedParts(whole));
  }

  linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D {
    return using(weight, (whole) => this.engine.linear(x, whole, bias));
  }

  linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D {
    return using(weight, (whole) => this.engine.linearInputGradient(dy, whole));
  }

  gather(weight: FrozenWeight, ids: Int32Array): Tensor2D {
    return using(weight, (whole) => this.engine.gather(whole, ids));
  }

  dequantize(weight: FrozenWeight): Tensor {
    return using(weight, (whole) => this.engine.dequantize(whole));
  }

  /** What it holds is the other engine's. */
  dispose(): void {
    return undefined;
  }
}
