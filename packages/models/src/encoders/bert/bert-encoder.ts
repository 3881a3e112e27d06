/**
 * The encoder of BERT (Devlin et al. 2019) and its relatives: L blocks with the norm after each
 * residual sum,
 *
 *   a = LN(x + dropout(W_o·attention(x))), y = LN(a + dropout(W_2·f(W_1·a)))
 *
 * or in front of each branch (XLM-R XL).
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import { gatherRows, type ActivationName } from '@peft/ops';
import { headRows, oneRowEach, type ModelOutput, type ModelRun } from '@peft/core';
import { attend, type AttendOptions } from '../../parts/attend.js';
import { headSizeOf, type ConfigReader } from '../../description/config-reader.js';
import { within, type DescriptionBuilder } from '../../description/describe.js';
import { BERT_FORM, type BertForm } from './bert-form.js';

/**
 * What the `config.json` of BERT and what is built like it says, checked, in this package's words.
 */
export interface BertEncoderConfig {
  readonly form: BertForm;
  readonly vocabularySize: number; // V
  readonly hiddenSize: number; // D
  readonly layers: number;
  readonly heads: number; // H
  readonly feedForwardSize: number; // F
  readonly activation: ActivationName;
  readonly positions: number;
  readonly tokenTypes: number;
  readonly epsilon: number;
  readonly hiddenDropout: number;
  /** Of the feed-forward branch, where it differs. */
  readonly ffnDropout?: number;
  readonly attentionDropout: number;
  readonly classifierDropout: number;
  readonly initializerRange: number;
}

/** What the families' config classes start from. */
export type BertDefaults = Pick<
  BertEncoderConfig,
  'vocabularySize' | 'hiddenSize' | 'heads' | 'feedForwardSize'
> &
  Partial<Pick<BertEncoderConfig, 'layers' | 'epsilon' | 'hiddenDropout' | 'tokenTypes'>> & {
    readonly activation?: string;
  };

/** The fields that the families share. */
export function parseBertConfig(config: ConfigReader, defaults: BertDefaults): BertEncoderConfig {
  config.only(
    'position_embedding_type',
    'absolute',
    'relative positions in attention are not supported',
  );
  config.only('is_decoder', false, 'only the encoder is supported');
  config.only('add_cross_attention', false, 'only the encoder is supported');
  const hiddenDropout = config.rate('hidden_dropout_prob', defaults.hiddenDropout ?? 0.1);
  const hiddenSize = config.size('hidden_size', defaults.hiddenSize);
  const heads = config.size('num_attention_heads', defaults.heads);
  headSizeOf(config, hiddenSize, heads, 'num_attention_heads');
  return {
    form: BERT_FORM,
    vocabularySize: config.size('vocab_size', defaults.vocabularySize),
    hiddenSize,
    layers: config.size('num_hidden_layers', defaults.layers ?? 12),
    heads,
    feedForwardSize: config.size('intermediate_size', defaults.feedForwardSize),
    activation: config.activation('hidden_act', defaults.activation ?? 'gelu'),
    positions: config.size('max_position_embeddings', 512),
    tokenTypes: config.size('type_vocab_size', defaults.tokenTypes ?? 2),
    epsilon: config.positive('layer_norm_eps', defaults.epsilon ?? 1e-12),
    hiddenDropout,
    attentionDropout: config.rate('attention_probs_dropout_prob', defaults.hiddenDropout ?? 0.1),
    classifierDropout: config.rate('classifier_dropout', hiddenDropout),
    initializerRange: config.positive('initializer_range', 0.02),
  };
}

/** Sites and parameters of the blocks. @param prefix the class prefix, or an empty string. */
export function describeBertEncoder(
  model: DescriptionBuilder,
  prefix: string,
  config: BertEncoderConfig,
): void {
  for (let layer = 0; layer < config.layers; layer += 1)
    describeBertBlock(model, within(prefix, `encoder.layer.${layer}`), config, layer);
  if (config.form.isPreNorm)
    model.layerNorm(within(prefix, 'encoder.LayerNorm'), {
      role: 'norm.final',
      size: config.hiddenSize,
    });
}

/** Sites and parameters of one block. */
export function describeBertBlock(
  model: DescriptionBuilder,
  block: string,
  { form, hiddenSize: D, feedForwardSize: F, heads }: BertEncoderConfig,
  layer: number,
): void {
  const sublayer = (module: string, branch: 'attention' | 'ffn') =>
    model.sublayer(`${block}.${module}`, {
      role: `sublayer.${branch}`,
      layer,
      size: D,
      branch,
      stack: 'encoder',
    });
  model.attention(`${block}.${form.self}`, {
    role: 'attention',
    layer,
    heads,
    keyValueHeads: heads,
    headSize: D / heads,
    stack: 'encoder',
    index: layer,
  });
  for (const part of form.order) {
    const path = `${block}.${form.modules[part]}`;
    if (part === 'attentionNorm' || part === 'ffnNorm')
      model.layerNorm(path, {
        role: part === 'ffnNorm' ? 'norm.ffn' : 'norm.attention',
        size: D,
        layer,
      });
    else if (part === 'up') model.linear(path, { role: 'ffn.up', shape: [F, D], layer });
    else if (part === 'down') model.linear(path, { role: 'ffn.down', shape: [D, F], layer });
    else model.linear(path, { role: `attention.${part}`, shape: [D, D], layer });
  }
  sublayer(form.attentionSublayer, 'attention');
  sublayer(form.ffnSublayer, 'ffn');
}

/**
 * Runs the blocks, the last one for the rows alone that the head reads where it is all that is asked
 * for.
 * @param x embeddings `[N, D]`.
 * @returns the last state and its layout, and each state, x first, where they are asked for.
 */
export function runBertEncoder(
  run: ModelRun,
  prefix: string,
  config: BertEncoderConfig,
  x: Tensor2D,
  offsets: Int32Array,
): Pick<ModelOutput, 'hidden' | 'offsets' | 'hiddenStates'> {
  const states = [x];
  const rows = headRows(run, offsets);
  for (let layer = 0; layer < config.layers; layer += 1) {
    const path = within(prefix, `encoder.layer.${layer}`);
    const kept = layer === config.layers - 1 ? rows : undefined;
    states.push(
      run.layer(layer, [states.at(-1)!], (input) =>
        runBertBlock(run, path, config, input, offsets, { kept }),
      ),
    );
  }
  if (config.form.isPreNorm)
    states.push(run.norm(within(prefix, 'encoder.LayerNorm'), states.pop()!, config.epsilon));
  return {
    hidden: states.at(-1)!,
    offsets: rows ? oneRowEach(rows.length) : offsets,
    hiddenStates: run.wantsHiddenStates ? states : undefined,
  };
}

/**
 * @param options.bias of the scores (MPNet).
 * @param options.kept one row of each sequence, where the block's result of no other is read: keys
 *   and values are made of all of them.
 * @returns `[N, D]`, or `[B, D]` of the rows that are kept.
 */
export function runBertBlock(
  run: ModelRun,
  block: string,
  config: BertEncoderConfig,
  x: Tensor2D,
  offsets: Int32Array,
  {
    bias,
    kept,
  }: { readonly bias?: AttendOptions['bias']; readonly kept?: Int32Array | undefined } = {},
): Tensor2D {
  const queryOffsets = kept ? oneRowEach(kept.length) : offsets;
  const keep = (all: Tensor2D): Tensor2D => (kept ? gatherRows(all, kept) : all);
  const { form, heads, epsilon, hiddenDropout, ffnDropout = hiddenDropout } = config;
  const { modules } = form;
  const norm = (part: 'attentionNorm' | 'ffnNorm', rows: Tensor2D): Tensor2D =>
    run.norm(`${block}.${modules[part]}`, rows, epsilon);
  /** LN(x + dropout(made)), or x + dropout(made), x and what was read of it the rows that are kept */
  const close = (
    path: string,
    part: 'attentionNorm' | 'ffnNorm',
    { input, residual, made, rate }: Branch,
  ): Tensor2D =>
    run.sublayer(path, {
      input,
      output: run.dropout(path, made, rate),
      residual,
      offsets: queryOffsets,
      norm: form.isPreNorm ? undefined : (y) => norm(part, y),
    });
  const attended = (): Tensor2D => {
    const rows = form.isPreNorm ? norm('attentionNorm', x) : x;
    const read = keep(rows);
    const projected = (part: 'query' | 'key' | 'value', of: Tensor2D): Tensor2D =>
      run.linear(`${block}.${modules[part]}`, of);
    const [q, k, v] = [projected('query', read), projected('key', rows), projected('value', rows)];
    const context = attend(run, `${block}.${form.self}`, q, k, v, {
      offsets: queryOffsets,
      keyOffsets: kept && offsets,
      heads,
      bias,
      hidden: read,
      dropoutRate: config.attentionDropout,
    });
    return close(`${block}.${form.attentionSublayer}`, 'attentionNorm', {
      input: read,
      residual: form.isPreNorm ? keep(x) : read,
      made: run.linear(`${block}.${modules.output}`, context),
      rate: hiddenDropout,
    });
  };
  const residual = attended();
  const input = form.isPreNorm ? norm('ffnNorm', residual) : residual;
  const inner = run.linear(`${block}.${modules.up}`, input, config.activation); // [N, F]
  return close(`${block}.${form.ffnSublayer}`, 'ffnNorm', {
    input,
    residual,
    made: run.linear(`${block}.${modules.down}`, inner),
    rate: ffnDropout,
  });
}

/** A residual branch before it is closed. */
interface Branch {
  /** What it read: the residual, or the norm of it. */
  readonly input: Tensor2D;
  readonly residual: Tensor2D;
  readonly made: Tensor2D;
  /** Of dropout. */
  readonly rate: number;
}
