import type {
  AnyMethod,
  CommonConfig,
  LoadWeightsOptions,
  MethodName,
  MethodSpec,
  PeftConfigs,
} from '@peft/core';
import type { Engine } from '@peft/ops';
import type { TinyModel } from '../tiny-models.js';

/** Options that the contract is tried with. */
export interface MethodCase<Name extends MethodName> {
  /** What is special, `rank-stabilised`. */
  readonly title: string;
  readonly options?: Partial<PeftConfigs[Name]> & CommonConfig;
  /** Shapes of models that it works on. Default: all. */
  readonly on?: readonly TinyModel['name'][];
  /** A fresh adapter changes nothing. Default true. */
  readonly identityAtStart?: boolean;
  /** Merging gives the same function. Default true; where false it must be refused. */
  readonly merges?: boolean;
  /**
   * One batch can hold sequences with and without it. Default true; where false it must be refused.
   */
  readonly mixes?: boolean;
  /** The model runs its blocks in another order while such an adapter is on it. Default false. */
  readonly changesForm?: boolean;
  /** Parameters whose gradient is zero by their nature (a key's bias under softmax). */
  readonly withoutGradient?: RegExp;
  /**
   * Its gradient is the loss's. Default true; false where a method leaves a part out on purpose
   * (DoRA's norms).
   */
  readonly exactGradient?: boolean;
}

/** What the contract is tried with. */
export interface MethodContractOptions<Name extends MethodName> {
  /** Options that must be refused, each with a part of the message. */
  readonly badOptions?: readonly {
    readonly options: Readonly<Record<string, unknown>>;
    readonly message: string | RegExp;
  }[];
  /** Other methods that its files may name, when it is a combination. */
  readonly methods?: readonly AnyMethod[];
  /** Makes the spec, when calling the method does not. */
  readonly spec?: (options: MethodCase<Name>['options']) => MethodSpec;
  /** How the models are loaded (on a quantised base, say). */
  readonly load?: LoadWeightsOptions;
  /** Default: the portable engine. */
  readonly createEngine?: () => Engine | Promise<Engine>;
}
