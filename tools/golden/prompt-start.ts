/**
 * Prompt methods train from parameters that their files leave out: a case stores them by the
 * reference's parameter names.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  architectureFor,
  describeModel,
  peftTypeOf,
  specOf,
  type Adapter,
  type Model,
  type OwnedParameter,
} from '@peft/core';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { architectures } from '@peft/models';
import { methods } from './methods.js';
import type { Task } from './task.js';

/**
 * Virtual tokens whose logits come first: of a decoder, not of the encoder in front of one, but for
 * multitask prompts, which stand in front of both.
 */
export function virtualTokens(folder: string, task: Task): number {
  const path = join(folder, 'adapter_config.json');
  if (!existsSync(path)) return 0;
  const { peft_type: type, num_virtual_tokens: count } = JSON.parse(readFileSync(path, 'utf8')) as {
    peft_type: string;
    num_virtual_tokens?: number;
  };
  if (task === 'seq2seq') return type === 'MULTITASK_PROMPT_TUNING' ? count! : 0;
  if (task !== 'causal') return 0;
  const types = ['PROMPT_TUNING', 'MULTITASK_PROMPT_TUNING', 'P_TUNING', 'CPT'];
  return types.includes(type) ? count! : 0;
}

/**
 * Whether padding counts in what PEFT computes: the head of a causal classifier reads the last
 * column, since PEFT gives it embeddings, in which it cannot tell; Lily's weights are a mean over
 * all columns.
 */
export function readsPadding(folder: string, task: Task, model: string): boolean {
  const path = join(folder, 'adapter_config.json');
  if (!existsSync(path)) return false;
  const { peft_type: type } = JSON.parse(readFileSync(path, 'utf8')) as { peft_type: string };
  if (type === 'LILY') return true;
  if (task !== 'seqcls') return false;
  const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const architecture = architectureFor(config['model_type'], architectures);
  return (
    ['PROMPT_TUNING', 'MULTITASK_PROMPT_TUNING', 'P_TUNING'].includes(type) &&
    describeModel(architecture, architecture.parseConfig(config)).layers.encoder === 0
  );
}

/**
 * Labels of the virtual tokens themselves: CPT's are a prompt, whose answers PEFT counts in the loss.
 */
export function virtualLabels(folder: string): readonly number[] | undefined {
  const path = join(folder, 'adapter_config.json');
  if (!existsSync(path)) return undefined;
  const {
    peft_type: type,
    cpt_token_ids: ids,
    cpt_tokens_type_mask: types,
  } = JSON.parse(readFileSync(path, 'utf8')) as {
    peft_type: string;
    cpt_token_ids: number[];
    cpt_tokens_type_mask: number[];
  };
  if (type !== 'CPT') return undefined;
  return ids.map((id, p) => (types[p]! > 0 && types[p]! % 4 === 0 ? id : -100));
}

/**
 * Weights of these labels: with CPT's decay a factor for each answer that stands between it and the
 * input, whose own is 1.
 */
export function virtualWeights(folder: string): readonly number[] | undefined {
  const path = join(folder, 'adapter_config.json');
  if (!existsSync(path)) return undefined;
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  if (json['peft_type'] !== 'CPT' || json['opt_weighted_loss_type'] !== 'decay') return undefined;
  const types = json['cpt_tokens_type_mask'] as readonly number[];
  const answers = [...new Set(types.filter((type) => type > 0 && type % 4 === 0))].sort(
    (a, b) => b - a,
  );
  const factor = json['opt_loss_decay_factor'] as number;
  return types.map((type) => factor ** (answers.indexOf(type) + 1));
}

/** Puts the method on the model with its network, at the start that the case gives. */
export function startPrompt(model: Model, folder: string): Adapter {
  const json = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const method = methods.find((each) => peftTypeOf(each) === json['peft_type'])!;
  const { init: _, ...options } = { ...method.fromPeftConfig!(json), isLoaded: false } as Record<
    string,
    unknown
  >;
  const modules = json['modules_to_save'] as readonly string[] | null;
  const adapter = model.addAdapter(
    'default',
    specOf(method, { ...options, ...(modules && { modulesToSave: modules }) }),
    { strict: false },
  );
  const store = openSafetensors(join(folder, 'train_start.safetensors'));
  try {
    for (const name of store.names()) {
      const { value } = parameterOf(adapter, name);
      tf.tidy(() => value.assign(tf.tensor(readFloat32(store.get(name)!), value.shape)));
    }
  } finally {
    store.close();
  }
  return adapter;
}

/** Our parameter of a reference's name. */
export function parameterOf(adapter: Adapter, name: string): OwnedParameter {
  const own = name
    .replace('prompt_encoder.default.', 'prompt_encoder.')
    .replace(/^base_model\.(.+)\.modules_to_save\.default\./, '$1.');
  const found =
    adapter.parameters.get(own) ??
    adapter.parameters.get(own.replace(/^prompt_encoder\.(?=prefix_task_)/, '')) ??
    (own === 'prompt_encoder.embedding.weight'
      ? adapter.parameters.get('prompt_embeddings')
      : undefined);
  if (!found)
    throw new Error(
      `no parameter of ours is ${name}; there are ${[...adapter.parameters.keys()].join(', ')}`,
    );
  return found;
}
