/** What a case of an adapter of PEFT holds, and what all of its checks need. */
import type { Model } from '@peft/core';
import type { Combination } from '@peft/lora';
import { type Comparison } from '../../comparison.js';
import type { PackedTask, Task, TaskBatch } from '../../task.js';

export interface AdapterCase {
  readonly kind:
    'plain' | 'ia3_bias' | 'svd_init' | 'adalora' | 'prompt' | 'mixed_batch' | 'weighted' | 'arrow';
  readonly base: string;
  /** Tokens that the model has, where the base has fewer or more. */
  readonly vocabulary?: number;
  readonly task: Task;
  readonly batch: TaskBatch;
  readonly adapter_names?: readonly string[];
  /** Adapters of general knowledge, and how Arrow chooses among those of `adapter_names`. */
  readonly general_names?: readonly string[];
  readonly routes?: Readonly<
    Record<
      string,
      { readonly top_k: number; readonly router_temperature: number; readonly use_gks?: boolean }
    >
  >;
  readonly combinations?: Readonly<
    Record<
      string,
      {
        readonly weights: readonly number[];
        readonly combination_type: Combination;
        readonly svd_rank?: number;
        readonly density?: number;
        readonly majority_sign_method?: 'total' | 'frequency';
      }
    >
  >;
  readonly training?: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number | null;
    readonly steps: number;
    readonly batches: readonly TaskBatch[];
  };
}

export interface TrainRecord {
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly trainable_parameters: number;
  readonly atol_loss: number;
  readonly atol_grad_norm: number;
  readonly rank_pattern?: RankPattern | null;
}

/** AdaLoRA's kept directions by `<path>.lora_E`. */
export type RankPattern = Readonly<Record<string, readonly boolean[]>>;

/** One case, with what all of its checks need. */
export interface Check {
  readonly folder: string;
  readonly json: AdapterCase;
  readonly comparison: Comparison;
  readonly open: () => Model;
  readonly pack: (batch: TaskBatch) => PackedTask;
}
