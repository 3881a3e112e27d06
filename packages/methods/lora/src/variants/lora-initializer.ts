/** What makes the first values of LoRA's matrices, ours or a third party's. */
import type { AttachContext, Initializer, SiteHandle } from '@peft/core';

/** What an initialiser may look at. */
export interface LoraInitCall {
  readonly site: SiteHandle<'linear'>;
  readonly rank: number;
  /** What the product B·A is multiplied with. */
  readonly scaling: number;
  readonly context: AttachContext;
}

/** A start for LoRA's matrices. */
export interface LoraInitializer {
  readonly name: string;
  /** `init_lora_weights` in adapter_config.json. */
  readonly peftValue: boolean | string;
  /** What else adapter_config.json says of it. */
  readonly peftConfig?: Readonly<Record<string, unknown>>;
  /** The start's product s·B·A was taken out of the base weight. Default false. */
  readonly takesOver?: boolean;
  /**
   * The base weight gives way to another one, made of its values, while the adapter exists. Default
   * false.
   */
  readonly replacesBase?: boolean;
  /**
   * The start's product is taken off again beside the base weight, which stays as it is, and the file
   * holds ordinary LoRA of twice the rank. Default false.
   */
  readonly isSubtracted?: boolean;
  /** B keeps its start values (MiCA). Default false. */
  readonly freezesB?: boolean;
  /** Chooses the start values; may change the base weight through `context.replaceWeight`. */
  start(call: LoraInitCall): { readonly a: Initializer; readonly b: Initializer };
}
