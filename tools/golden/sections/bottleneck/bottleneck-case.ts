/** What a case of an adapter of adapter-hub's holds, and what all of its checks need. */
import type { Model } from '@peft/core';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { type Comparison } from '../../comparison.js';
import type { PackedTask, Task, TaskBatch } from '../../task.js';

export interface BottleneckCase {
  readonly kind: 'single' | 'stack' | 'fusion';
  readonly base: string;
  readonly task: Task;
  readonly adapters: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly batch: TaskBatch;
  /** Absent where the library's gradient is another than ours on purpose. */
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
}

export interface Check {
  readonly folder: string;
  readonly json: BottleneckCase;
  readonly comparison: Comparison;
  readonly open: () => Model;
  readonly pack: (batch: TaskBatch) => PackedTask;
}

export function readAll(path: string): Map<string, Float32Array> {
  const store = openSafetensors(path);
  try {
    return new Map(store.names().map((name) => [name, readFloat32(store.get(name)!)]));
  } finally {
    store.close();
  }
}
