/**
 * Adapters written here give the same logits in Python's PEFT. Runs where Python has torch,
 * transformers and peft.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { adalora } from '@peft/adalora';
import { bitfit, lnTuning } from '@peft/bitfit';
import { combineMethods, saveAdapter, type MethodSpec } from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora, savePlainLora } from '@peft/lora';
import { loha, lokr } from '@peft/lycoris';
import { oft } from '@peft/oft';
import type { Engine } from '@peft/ops';
import { prefixTuning, promptTuning, pTuning } from '@peft/prompt-tuning';
import { moveParameters, toBeAllclose } from '@peft/testing';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../golden/engines.js';
import { openModel, packTask, type Task, type TaskBatch } from '../golden/task.js';
import { askPeft, hasPeft, peftTitle } from './python-peft.js';

const fixtures = fileURLToPath(new URL('../../packages/testing/fixtures/', import.meta.url));

const CASES: readonly {
  readonly name: string;
  readonly model: string;
  readonly task: Task;
  readonly spec: () => MethodSpec;
  readonly save?: typeof saveAdapter;
  /** Tokens of the model, where the base has fewer; ids of the last two are in the texts. */
  readonly vocabulary?: number;
}[] = [
  { name: 'LoRA', model: 'bert', task: 'seqcls', spec: () => lora({ rank: 4, alpha: 6 }) },
  {
    name: 'LoRA with rsLoRA, patterns and biases',
    model: 'bert',
    task: 'seqcls',
    spec: () =>
      lora({
        rank: 4,
        rankStabilized: true,
        bias: 'all',
        rankPattern: { key: 2 },
        targets: ['query', 'key'],
      }),
  },
  { name: 'DoRA', model: 'deberta-v2', task: 'seqcls', spec: () => lora({ rank: 2, dora: true }) },
  {
    name: 'LoRA from PiSSA',
    model: 'llama',
    task: 'causal',
    spec: () => lora({ rank: 2, init: 'pissa', targets: ['q_proj'] }),
  },
  {
    name: 'PiSSA as ordinary LoRA',
    model: 'llama',
    task: 'causal',
    spec: () => lora({ rank: 2, alpha: 3, init: 'pissa', targets: ['q_proj', 'down_proj'] }),
    save: savePlainLora,
  },
  {
    name: 'rank-stabilised OLoRA as ordinary LoRA',
    model: 'bert',
    task: 'seqcls',
    spec: () => lora({ rank: 2, rankStabilized: true, init: 'olora' }),
    save: savePlainLora,
  },
  {
    name: 'DoRA on the embedding',
    model: 'llama',
    task: 'causal',
    spec: () => lora({ rank: 2, dora: true, targets: ['embed_tokens', 'v_proj'] }),
  },
  {
    name: 'LoRA with a whole embedding that is tied',
    model: 'gpt2',
    task: 'causal',
    spec: () => lora({ rank: 2, modulesToSave: ['wte'] }),
  },
  {
    name: 'LoRA with a whole output layer that is tied',
    model: 'qwen2',
    task: 'causal',
    spec: () => lora({ rank: 2, modulesToSave: ['lm_head'] }),
  },
  {
    name: 'LoRA with a whole embedding that stays tied',
    model: 'qwen2',
    task: 'causal',
    spec: () => lora({ rank: 2, modulesToSave: ['embed_tokens'], ensureWeightTying: true }),
  },
  {
    name: 'trainable tokens that are tied',
    model: 'gpt2',
    task: 'causal',
    spec: () => trainableTokens({ tokenIndices: [5, 7] }),
  },
  {
    name: 'LoRA on the embedding',
    model: 'llama',
    task: 'causal',
    spec: () => lora({ rank: 2, targets: ['embed_tokens', 'v_proj'] }),
  },
  {
    name: 'LoRA with token rows',
    model: 'llama',
    task: 'causal',
    spec: () => lora({ rank: 2, targets: ['q_proj'], trainableTokens: { embed_tokens: [7, 9] } }),
  },
  {
    name: 'LoRA with rows of new tokens',
    model: 'bert',
    task: 'seqcls',
    vocabulary: 622,
    spec: () => lora({ rank: 2, trainableTokens: { word_embeddings: [620, 621] } }),
  },
  {
    name: 'LoRA with rows of new tokens that are tied',
    model: 'qwen2',
    task: 'causal',
    vocabulary: 442,
    spec: () => lora({ rank: 2, trainableTokens: { 'model.embed_tokens': [440, 441] } }),
  },
  {
    name: 'LoRA with rows of new tokens in both tables',
    model: 'llama',
    task: 'causal',
    vocabulary: 462,
    spec: () =>
      lora({
        rank: 2,
        trainableTokens: { 'model.embed_tokens': [460, 461], lm_head: [460, 461] },
      }),
  },
  {
    name: 'IA3 with a whole table of new tokens',
    model: 'bert',
    task: 'seqcls',
    vocabulary: 622,
    spec: () => ia3({ modulesToSave: ['bert.embeddings.word_embeddings'] }),
  },
  { name: 'LoRA on T5', model: 't5', task: 'seq2seq', spec: () => lora({ rank: 2 }) },
  {
    name: 'LoRA on the embeddings of both stacks',
    model: 't5',
    task: 'seq2seq',
    spec: () => lora({ rank: 2, targets: ['embed_tokens', 'v'] }),
  },
  {
    name: 'LoRA with the whole embedding of one stack',
    model: 't5',
    task: 'seq2seq',
    spec: () => lora({ rank: 2, modulesToSave: ['decoder.embed_tokens'] }),
  },
  {
    name: 'LoRA with token rows of one stack',
    model: 't5',
    task: 'seq2seq',
    spec: () => lora({ rank: 2, trainableTokens: { 'encoder.embed_tokens': [4, 9] } }),
  },
  {
    name: 'trainable tokens of both stacks and the output layer',
    model: 't5',
    task: 'seq2seq',
    spec: () => trainableTokens({ tokenIndices: [4, 9] }),
  },
  { name: 'IA3', model: 'bert', task: 'seqcls', spec: () => ia3() },
  {
    name: 'IA3 with all biases',
    model: 'deberta-v2',
    task: 'seqcls',
    spec: () =>
      combineMethods(
        'ia3_bias',
        ia3({ targets: ['query_proj', 'value_proj'], feedforwardModules: [] }),
        bitfit(),
      ),
  },
  {
    name: 'LoRA with all biases, as AutoGluon has it',
    model: 'bert',
    task: 'seqcls',
    spec: () => combineMethods('lora_bias', lora({ rank: 2 }), bitfit()),
  },
  { name: 'norm tuning', model: 'llama', task: 'causal', spec: () => lnTuning() },
  {
    name: 'AdaLoRA',
    model: 'bert',
    task: 'seqcls',
    spec: () => adalora({ initialRank: 4, targetRank: 2, totalSteps: 10 }),
  },
  { name: 'VeRA', model: 'llama', task: 'causal', spec: () => vera({ rank: 8 }) },
  {
    name: 'VeRA without its projections',
    model: 'llama',
    task: 'causal',
    spec: () => vera({ rank: 8, saveProjection: false }),
  },
  { name: 'LoHa', model: 'bert', task: 'seqcls', spec: () => loha({ rank: 2 }) },
  {
    name: 'LoKr',
    model: 'bert',
    task: 'seqcls',
    spec: () => lokr({ rank: 2, decomposeBoth: true, decomposeFactor: 4 }),
  },
  { name: 'OFT', model: 'llama', task: 'causal', spec: () => oft({ blockSize: 8 }) },
  {
    name: 'trainable tokens',
    model: 'llama',
    task: 'causal',
    spec: () => trainableTokens({ tokenIndices: [5, 7], targets: ['embed_tokens'] }),
  },
  {
    name: 'prompt tuning',
    model: 'llama',
    task: 'causal',
    spec: () => promptTuning({ virtualTokens: 3 }),
  },
  { name: 'P-tuning', model: 'bert', task: 'seqcls', spec: () => pTuning({ virtualTokens: 3 }) },
  {
    name: 'prefix tuning',
    model: 'llama',
    task: 'causal',
    spec: () => prefixTuning({ virtualTokens: 3 }),
  },
];

const ids = [
  [4, 9, 7, 21, 5],
  [8, 6, 30, 0, 0],
];
const mask = [
  [1, 1, 1, 1, 1],
  [1, 1, 1, 0, 0],
];
function batchFor(task: Task, vocabulary?: number): TaskBatch {
  const texts =
    vocabulary === undefined
      ? ids
      : ids.map((row, b) => row.map((id, t) => (t === 1 ? vocabulary - 1 - b : id)));
  return {
    input_ids: texts,
    attention_mask: mask,
    labels:
      task === 'seqcls'
        ? [0, 1]
        : texts.map((row, b) => row.map((id, t) => (mask[b]![t] ? id : -100))),
  };
}

describe.skipIf(!hasPeft)(peftTitle('our adapters load'), () => {
  let engine: Engine;
  let folder: string;
  let answers: { readonly values: readonly number[] }[];
  const ours: Float32Array[] = [];
  beforeAll(async () => {
    expect.extend({ toBeAllclose });
    engine = await openEngine('portable');
    folder = mkdtempSync(join(tmpdir(), 'peft-python-'));
    const requests = [];
    for (const [
      i,
      { model: name, task, spec, vocabulary, save = saveAdapter },
    ] of CASES.entries()) {
      const base = join(fixtures, 'models', name);
      const model = openModel(base, task, engine, undefined, vocabulary);
      moveParameters(model.addAdapter('a', spec()), 'a', 0.1);
      const adapter = join(folder, String(i));
      await save(model, 'a', adapter);
      const startId = Number(
        (JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>)[
          'decoder_start_token_id'
        ] ?? 0,
      );
      ours.push(
        tf.tidy(() =>
          model
            .forward(packTask(task, batchFor(task, vocabulary), startId).batch)
            .logits!.dataSync<'float32'>()
            .slice(),
        ),
      );
      model.dispose();
      requests.push({ model: base, adapter, task, vocabulary, ...batchFor(task, vocabulary) });
    }
    answers = askPeft('peft_logits.py', requests);
  }, 600_000);
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
    engine.dispose();
  });

  it.each(CASES.map(({ name, model, task }, i) => ({ name, model, task, i })))(
    '$name on $model',
    ({ task, i }) => {
      const theirs = answers[i]!.values;
      const width = task === 'seqcls' ? theirs.length / ids.length : undefined;
      expect(ours[i]!).toBeAllclose(width ? theirs : unpadded(theirs, ours[i]!.length), {
        atol: 1e-4,
        rtol: 1e-4,
      });
    },
  );
});

/** Rows of real tokens; virtual ones in front count as real. */
function unpadded(values: readonly number[], size: number): number[] {
  const padded = mask.flat().filter((isToken) => !isToken).length;
  const width = (values.length - size) / padded;
  const length = values.length / width / mask.length;
  return mask.flatMap((row, b) => {
    const real = length - row.filter((isToken) => !isToken).length;
    return values.slice(b * length * width, (b * length + real) * width);
  });
}
