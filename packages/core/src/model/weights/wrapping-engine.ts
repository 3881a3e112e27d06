/** What engines have in common whose weights another one computes with. */
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { Engine, FreezeOptions, FrozenWeight, QuantizedParts, TensorSource } from '@peft/ops';

/** Is called as the other engine is, and hands on all that has nothing to do with weights of its own. */
export abstract class WrappingEngine implements Engine {
  constructor(protected readonly engine: Engine) {}

  get name(): string {
    return this.engine.name;
  }

  get backendName(): string {
    return this.engine.backendName;
  }

  get precision(): Engine['precision'] {
    return this.engine.precision;
  }

  get description(): string {
    return this.engine.description;
  }

  activate(): Promise<void> {
    return this.engine.activate();
  }

  freeze(source: TensorSource, options?: FreezeOptions): FrozenWeight {
    return this.engine.freeze(source, options);
  }

  freezeQuantized(parts: QuantizedParts): FrozenWeight {
    return this.engine.freezeQuantized(parts);
  }

  quantizedParts(weight: FrozenWeight): QuantizedParts {
    return this.engine.quantizedParts(weight);
  }

  abstract linear(x: Tensor2D, weight: FrozenWeight, bias?: Tensor1D): Tensor2D;
  abstract linearInputGradient(dy: Tensor2D, weight: FrozenWeight): Tensor2D;
  abstract gather(weight: FrozenWeight, ids: Int32Array): Tensor2D;
  abstract dequantize(weight: FrozenWeight): Tensor;
  abstract dispose(): void;
}
