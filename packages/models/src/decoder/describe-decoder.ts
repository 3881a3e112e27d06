/** Sites and parameters of a decoder, in the order of its form. */
import type { HeadOptions, ModelDescription } from '@peft/core';
import { isBare } from '../parts/classification-head.js';
import { DescriptionBuilder, within } from '../description/describe.js';
import { describeDecoderAttention } from './decoder-attention.js';
import { describeExperts } from './experts.js';
import { describeLatentAttention } from './latent-attention.js';
import type { DecoderConfig } from './decoder-config.js';

/** The module that holds the stack: `model`, or nothing in the bare model. */
export const stackOf = ({ form }: DecoderConfig, head: HeadOptions): string =>
  [isBare(head) ? '' : form.prefix, form.stack].filter(Boolean).join('.');

/** Path of block n. */
export const blockOf = (config: DecoderConfig, stack: string, layer: number): string =>
  within(stack, `${config.form.blocks}.${layer}`);

export function describeDecoder(config: DecoderConfig, head: HeadOptions): ModelDescription {
  const { hiddenSize: D, wordSize, form, learnedPositions, projections } = config;
  const model = new DescriptionBuilder();
  const stack = stackOf(config, head);
  const word = within(stack, form.word);
  model.sequence(word, { role: 'sequence', size: wordSize, stack: 'decoder', embedding: word });
  model.embedding(word, { role: 'embedding.word', rows: config.vocabularySize, size: wordSize });
  if (learnedPositions)
    model.embedding(within(stack, learnedPositions.path), {
      role: 'embedding.position',
      rows: config.maxPositions + learnedPositions.offset,
      size: D,
    });
  if (config.embeddingNorm)
    model.norm(within(stack, config.embeddingNorm), {
      ...form.norm,
      role: 'norm.embedding',
      size: D,
    });
  if (projections) {
    model.linear(within(stack, projections.out), {
      role: 'output.projection',
      shape: [wordSize, D],
      bias: false,
    });
    model.linear(within(stack, projections.in), {
      role: 'embedding.projection',
      shape: [D, wordSize],
      bias: false,
    });
  }
  const finalNorm = () => {
    if (config.hasFinalNorm)
      model.norm(within(stack, form.finalNorm), { ...form.norm, role: 'norm.final', size: D });
  };
  if (form.listsFinalNormFirst) finalNorm();
  for (let layer = 0; layer < config.layers; layer += 1)
    describeBlock(model, blockOf(config, stack, layer), config, layer);
  if (!form.listsFinalNormFirst) finalNorm();
  const description = describeHead(model, config, head, `${word}.weight`);
  return config.experts?.lossWeight
    ? { ...description, besideState: 'logits of routers' }
    : description;
}

function describeBlock(
  model: DescriptionBuilder,
  block: string,
  config: DecoderConfig,
  layer: number,
): void {
  const { hiddenSize: D, form } = config;
  const attention = `${block}.${form.attention.path}`;
  for (const part of form.order) {
    if (part === 'self') {
      if (config.latent) describeLatentAttention(model, attention, config, config.latent, layer);
      else describeDecoderAttention(model, attention, config, layer);
      model.sublayer(attention, {
        role: 'sublayer.attention',
        layer,
        size: D,
        branch: 'attention',
        stack: 'decoder',
      });
    } else if (part === 'feedForward') {
      if (config.experts?.isSparse[layer])
        describeExperts(model, block, config, config.experts, layer);
      else describeFeedForward(model, within(block, form.ffn.path), config, layer);
      model.sublayer(`${block}.${form.ffn.sublayer}`, {
        role: 'sublayer.ffn',
        layer,
        size: D,
        branch: 'ffn',
        stack: 'decoder',
      });
    } else if (form.norms[part])
      model.norm(`${block}.${form.norms[part]}`, {
        ...form.norm,
        role: NORM_ROLES[part],
        size: D,
        layer,
      });
  }
}

const NORM_ROLES = {
  attention: 'norm.attention',
  attentionOutput: 'norm.attention-output',
  ffn: 'norm.ffn',
  ffnOutput: 'norm.ffn-output',
} as const;

export function describeFeedForward(
  model: DescriptionBuilder,
  path: string,
  { hiddenSize: D, feedForwardSize: F, bias, form }: DecoderConfig,
  layer: number,
): void {
  const { kind, gate, up, down } = form.ffn;
  const project = (name: string, role: string, shape: readonly [number, number]) =>
    model.linear(within(path, name), { role, shape, bias: bias.feedForward, layer });
  if (kind === 'gated') project(gate, 'ffn.gate', [F, D]);
  if (kind === 'fused-gated') project(up, 'ffn.gate_up', [2 * F, D]);
  else project(up, 'ffn.up', [F, D]);
  project(down, 'ffn.down', [D, F]);
}

function describeHead(
  model: DescriptionBuilder,
  config: DecoderConfig,
  head: HeadOptions,
  table: string,
): ModelDescription {
  const { wordSize, vocabularySize: V, initializerRange: fresh, form } = config;
  const name = head.kind === 'token-classification' ? form.tokenHead : 'score';
  if (head.kind === 'causal-lm')
    model.linear(form.output, {
      role: 'head',
      shape: [V, wordSize],
      bias: form.outputHasBias,
      isOutputHead: true,
      aliases: form.outputAliases.map((module) => `${module}.weight`),
      tiedTo: config.isTied ? table : undefined,
      fresh,
    });
  else if ('outputs' in head && !isBare(head))
    model.linear(name, {
      role: 'head',
      shape: [head.outputs, wordSize],
      bias: head.kind === 'token-classification',
      isOutputHead: true,
      fresh,
    });
  return model.build({
    modelType: config.modelType,
    head,
    hiddenSize: wordSize,
    vocabularySize: V,
    layers: { encoder: 0, decoder: config.layers },
    maxPositions: scaledPositions(config),
    headModules: isBare(head) || head.kind === 'causal-lm' ? [] : [name],
    basePrefix: form.prefix,
  });
}

/** Scaled positions reach further than some configs say, which keep the length before scaling. */
function scaledPositions({ maxPositions, rope }: DecoderConfig): number | undefined {
  if (maxPositions === undefined) return undefined;
  const factor = Number(rope?.scaling?.['factor'] ?? 1);
  const original = Number(rope?.scaling?.['original_max_position_embeddings'] ?? maxPositions);
  return Math.max(maxPositions, Math.floor(factor * original));
}
