/**
 * Models: hidden states, logits, loss, gradients of a whole model; a second head on the same body;
 * token ids; greedy generation.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor2D, Variable } from '@tensorflow/tfjs';
import {
  architectureFor,
  loadModel,
  type EmbeddingSite,
  type HeadOptions,
  type Model,
  type ModelBatch,
  type ModelOutput,
  type RunOptions,
  type WeightStore,
} from '@peft/core';
import { generate } from '@peft/generation';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import { crossEntropy, gatherRows, memorySource } from '@peft/ops';
import { checkTokens, type TokenizerCases } from '../check-tokens.js';
import { Comparison } from '../comparison.js';
import {
  readGoldenCase,
  type GoldenCase,
  type GoldenContext,
  type GoldenResult,
} from '../golden-case.js';
import {
  keepPadding,
  nextLabels,
  packBatch,
  packRows,
  unpackRows,
  type PaddedBatch,
} from '../packed.js';

type Task = 'seqcls' | 'causal' | 'seq2seq';
interface ModelCase {
  readonly model_type: string;
  readonly task: Task;
  readonly batch: PaddedBatch & {
    readonly labels: readonly number[] | readonly (readonly number[])[];
  };
  readonly gradient_weights: readonly string[];
  /** In the order in which the reference lists them. */
  readonly parameter_names?: readonly string[];
  readonly sequence_classification?: {
    readonly num_labels: number;
    readonly labels: readonly number[];
  };
  readonly generation?: {
    readonly input_ids: number[][];
    readonly attention_mask: number[][];
    readonly max_new_tokens: number;
    readonly pad_token_id: number;
    readonly eos_token_id: number | readonly number[];
  };
  readonly tokenizer?: TokenizerCases;
}
export async function check(
  folder: string,
  { engine, onCompared }: GoldenContext,
): Promise<GoldenResult> {
  const golden = readGoldenCase(folder);
  const json = golden.json as unknown as ModelCase;
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  if (!architectures.some(({ modelTypes }) => modelTypes.includes(config['model_type'] as string)))
    return { status: 'unsupported', detail: `model_type ${String(config['model_type'])}` };
  const comparison = new Comparison(golden, onCompared);
  const store = openCheckpoint(folder);
  const open = (head: HeadOptions, extra?: WeightStore) =>
    loadModel(
      architectureFor(config['model_type'], architectures),
      config,
      extra ?? store,
      engine,
      { head },
    );
  try {
    await withModel(open(headOf(json, store)), async (model) => {
      if (json.parameter_names)
        comparison.equal(
          'parameter names',
          model.description.parameters.map(({ name }) => name),
          json.parameter_names,
        );
      checkForward(comparison, json, model);
      checkGradients(comparison, json, model, config);
      if (json.generation) await checkGeneration(comparison, json, model, config);
    });
    if (comparison.has('pooler_output'))
      await withModel(open({ kind: 'none' }), (model) =>
        tf.tidy(() =>
          comparison.tensor(
            'pooler_output',
            model.forward(packBatch(json.batch)).pooled!.dataSync(),
          ),
        ),
      );
    if (comparison.has('seqcls.logits')) {
      const { num_labels: outputs, labels } = json.sequence_classification!;
      await withModel(
        open({ kind: 'sequence-classification', outputs }, withHeadWeights(store, comparison)),
        (model) =>
          tf.tidy(() => {
            const logits = model.forward(packBatch(json.batch)).logits!;
            comparison.tensor('seqcls.logits', logits.dataSync());
            comparison.tensor(
              'seqcls.loss',
              tf.mean(crossEntropy(logits, Int32Array.from(labels))).dataSync(),
            );
          }),
      );
    }
  } finally {
    store.close();
  }
  if (json.tokenizer && existsSync(join(folder, 'tokenizer.json')))
    checkTokens(comparison, folder, json.tokenizer);
  return comparison.result();
}

async function withModel(
  model: Model,
  body: (model: Model) => void | Promise<void>,
): Promise<void> {
  try {
    await body(model);
  } finally {
    model.dispose();
  }
}

function headOf({ task }: ModelCase, store: WeightStore): HeadOptions {
  if (task === 'causal') return { kind: 'causal-lm' };
  if (task === 'seq2seq') return { kind: 'seq2seq-lm' };
  const output = ['classifier.out_proj.weight', 'classifier.weight', 'score.weight']
    .map((name) => store.get(name))
    .find(Boolean);
  return { kind: 'sequence-classification', outputs: output!.shape[0]! };
}

/** The checkpoint with the case's own head on top. */
function withHeadWeights(store: WeightStore, comparison: Comparison): WeightStore {
  const prefix = 'seqcls.weight.';
  const names = comparison.names(prefix);
  comparison.input(...names);
  const extra = new Map(
    names.map((name) => [name.slice(prefix.length), comparison.golden.tensors.get(name)!]),
  );
  return {
    names: () => [...store.names(), ...extra.keys()],
    get: (name) =>
      extra.has(name)
        ? memorySource(name, extra.get(name)!.shape, Float32Array.from(extra.get(name)!.values))
        : store.get(name),
  };
}

/** Whose reference computes padding into the tokens beside it. */
const READS_PADDING: ReadonlySet<string> = new Set(['convbert']);

interface Inputs {
  readonly batch: ModelBatch;
  readonly labels: Int32Array;
  /** Where tokens stand in padded tensors, of the encoder or only stack, and of the decoder. */
  readonly mask: readonly (readonly number[])[];
  readonly decoderMask?: readonly (readonly number[])[];
  /** Rows that are computed, where padding is among them. */
  readonly computed?: readonly (readonly number[])[];
}

function inputsOf({ task, batch, model_type }: ModelCase, golden: GoldenCase): Inputs {
  const readsPadding = READS_PADDING.has(model_type);
  const packed = readsPadding ? keepPadding(batch) : packBatch(batch);
  const mask = batch.attention_mask;
  if (task === 'seqcls')
    return {
      batch: packed,
      labels: Int32Array.from(batch.labels as number[]),
      mask,
      computed: readsPadding ? mask.map((row) => row.map(() => 1)) : undefined,
    };
  const rows = batch.labels as readonly (readonly number[])[];
  if (task === 'causal')
    return { batch: packed, labels: nextLabels(packRows(rows, mask).values, packed.offsets), mask };
  const decoderMask = rows.map((row) => row.map((label) => (label === -100 ? 0 : 1)));
  const { values: labels, offsets } = packRows(rows, decoderMask);
  const { shape, values } = golden.tensors.get('decoder_input_ids')!;
  const padded = Array.from({ length: shape[0]! }, (_, b) => [
    ...values.subarray(b * shape[1]!, (b + 1) * shape[1]!),
  ]);
  return {
    batch: { ...packed, decoder: { inputIds: packRows(padded, decoderMask).values, offsets } },
    labels,
    mask,
    decoderMask,
  };
}

/** Values of padded positions set to 0, as the case has them. */
function withoutPadding(
  rows: Float32Array,
  width: number,
  mask: readonly (readonly number[])[],
): Float32Array {
  mask.flat().forEach((isToken, n) => {
    if (!isToken) rows.fill(0, n * width, (n + 1) * width);
  });
  return rows;
}

/** Mean over the labelled rows. */
function lossOf(output: ModelOutput, labels: Int32Array): Scalar {
  return tf.div(
    tf.sum(crossEntropy(output.logits!, labels)),
    labels.filter((label) => label !== -100).length,
  ) as Scalar;
}

function checkForward(comparison: Comparison, json: ModelCase, model: Model): void {
  const { batch, labels, mask, decoderMask, computed } = inputsOf(json, comparison.golden);
  tf.tidy(() => {
    const output = model.forward(batch, { hiddenStates: true });
    const padded = (tensor: Tensor, of: readonly (readonly number[])[]) => {
      const rows = unpackRows(tensor.dataSync(), tensor.shape[1]!, computed ?? of);
      return computed ? withoutPadding(rows, tensor.shape[1]!, of) : rows;
    };
    if (decoderMask) {
      comparison.input('decoder_input_ids');
      output.encoderHiddenStates!.forEach((state, i) =>
        comparison.tensor(`encoder_hidden_states.${i}`, padded(state, mask)),
      );
      output.hiddenStates!.forEach((state, i) =>
        comparison.tensor(`decoder_hidden_states.${i}`, padded(state, decoderMask)),
      );
    } else {
      output.hiddenStates!.forEach((state, i) =>
        comparison.tensor(`hidden_states.${i}`, padded(state, mask)),
      );
      if (comparison.has('last_hidden_state'))
        comparison.tensor('last_hidden_state', padded(output.hidden, mask));
    }
    comparison.tensor(
      'logits',
      json.task === 'seqcls'
        ? output.logits!.dataSync()
        : padded(output.logits!, decoderMask ?? mask),
    );
    comparison.tensor('loss', lossOf(output, labels).dataSync());
  });
}

/**
 * Gradients of weights in one pass, those of the embeddings' rows in another, which recomputes its
 * blocks.
 */
function checkGradients(
  comparison: Comparison,
  json: ModelCase,
  model: Model,
  config: Readonly<Record<string, unknown>>,
): void {
  const paddingId = Number(config['pad_token_id'] ?? 0);
  const { batch, labels, mask, decoderMask, computed } = inputsOf(json, comparison.golden);
  const adapter = model.addAdapter(
    'golden',
    { name: 'gradients', parts: [] },
    { alsoUnfreeze: json.gradient_weights },
  );
  const variables = json.gradient_weights.map((name) => adapter.unfrozen(name)!.value);
  const gradients = gradientsOf(model, batch, labels, variables);
  json.gradient_weights.forEach((name, i) =>
    tf.tidy(() => {
      const values = asStored(model, name, gradients[i]!).dataSync();
      // torch gives the row of padding no gradient
      const width = gradients[i]!.shape.at(-1)!;
      if (computed) values.fill(0, paddingId * width, (paddingId + 1) * width);
      comparison.tensor(`grad.weight.${name}`, values);
    }),
  );
  tf.dispose(gradients);
  model.deleteAdapter('golden');

  const { modelType, hiddenSize } = model.description;
  const isScaled = modelType.startsWith('gemma') || config['scale_embedding'] === true;
  const scale = isScaled ? Math.sqrt(hiddenSize) : 1; // their embedding modules scale
  const rows = (ids: Int32Array): Variable =>
    tf.tidy(() => tf.variable(tf.mul(gatherRows(table as Tensor2D, ids), scale)));
  const table = model.readParameter(
    model.description.sites.find(
      (site): site is EmbeddingSite => site.kind === 'embedding' && site.role === 'embedding.word',
    )!.weight,
  );
  const inputs = rows(batch.inputIds);
  const targets = batch.decoder && rows(batch.decoder.inputIds);
  const embedded: ModelBatch = {
    ...batch,
    inputsEmbeds: inputs as unknown as Tensor2D,
    ...(targets && {
      decoder: { ...batch.decoder, inputsEmbeds: targets as unknown as Tensor2D },
    }),
  };
  const [dinputs, dtargets] = gradientsOf(
    model,
    embedded,
    labels,
    targets ? [inputs, targets] : [inputs],
    { checkpointing: true },
  );
  comparison.tensor(
    'grad.inputs_embeds',
    unpackRows(dinputs!.dataSync(), inputs.shape[1]!, computed ?? mask),
  );
  if (targets)
    comparison.tensor(
      'grad.decoder_inputs_embeds',
      unpackRows(dtargets!.dataSync(), inputs.shape[1]!, decoderMask!),
    );
  tf.dispose([table, inputs, targets, dinputs, dtargets].filter((tensor) => tensor !== undefined));
}

/** GPT-2's checkpoints store linear weights as `[in, out]`. */
const asStored = (model: Model, name: string, tensor: Tensor): Tensor =>
  model.description.parameters.find((spec) => spec.name === name)!.transposed
    ? tf.transpose(tensor)
    : tensor;

function gradientsOf(
  model: Model,
  batch: ModelBatch,
  labels: Int32Array,
  variables: readonly Variable[],
  options: RunOptions = {},
): Tensor[] {
  const { value, grads } = tf.tidy(() =>
    tf.variableGrads(
      () => tf.tidy(() => lossOf(model.forward(batch, options), labels)),
      [...variables],
    ),
  );
  value.dispose();
  return variables.map((variable) => grads[variable.name]!);
}

/**
 * Greedy continuation with and without a cache, batched and alone: all four must be the
 * reference's, token for token. With rotary angles that follow the longest text of the batch only
 * the batch can be.
 */
async function checkGeneration(
  comparison: Comparison,
  json: ModelCase,
  model: Model,
  config: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { input_ids, attention_mask, max_new_tokens, pad_token_id, eos_token_id } =
    json.generation!;
  const prompts = input_ids.map((row, b) => row.filter((_, t) => attention_mask[b]![t] === 1));
  const isDecoder = json.task === 'causal';
  const startIds = [Number(config['decoder_start_token_id'] ?? 0)];
  for (const cache of [true, false]) {
    const options = {
      maxNewTokens: max_new_tokens,
      endIds: [eos_token_id].flat(),
      startIds,
      cache,
    };
    const ways = [await generate(model, prompts, options)];
    if (!/longrope|dynamic/.test(JSON.stringify(config))) {
      const alone = [];
      for (const prompt of prompts) alone.push(...(await generate(model, [prompt], options)));
      ways.push(alone);
    }
    for (const made of ways) {
      const longest = Math.max(...made.map(({ ids }) => ids.length));
      const padded = made.map(({ ids }) => [
        ...ids,
        ...new Array<number>(longest - ids.length).fill(pad_token_id),
      ]);
      comparison.tensor(
        'generate.greedy',
        padded.flatMap((row, b) =>
          isDecoder ? [...input_ids[b]!, ...row] : [...startIds, ...row],
        ),
      );
    }
  }
}
