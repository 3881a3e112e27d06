/**
 * LoRA as a method: which sites it takes, what it puts on each, and its options in PEFT's words.
 */
import {
  definePeftMethod,
  matchesSuffix,
  queryValueTargets,
  refuseUnmatchedPatterns,
  trainableOutputRows,
  trainableRows,
  unfreezeBiases,
  wordTables,
  type AttachContext,
  type ModelDescription,
  type TargetSelection,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { parseLoraConfig, strengthAt, type LoraConfig } from './lora-config.js';
import { activatedLora } from './variants/activated-lora.js';
import { blockDiagonalLora } from './variants/block-diagonal.js';
import { doraEmbedding } from './variants/dora-embedding.js';
import { doraLinear } from './variants/dora.js';
import { gatedLora } from './variants/gated-lora.js';
import { isDataStart } from './data-starts/data-start-options.js';
import { startFromData } from './data-starts/start-from-data.js';
import { kasaLinear, truncateBase } from './variants/kasa.js';
import { loraEmbedding, makeEmbeddingMatrices } from './variants/lora-embedding.js';
import { loraHub } from './formats/lora-hub.js';
import { loraInitializer } from './variants/lora-init.js';
import { loraLinear, makeMatrices } from './variants/lora-linear.js';
import {
  doubledConfig,
  doubledTensors,
  isSubtracted,
  subtractedLora,
} from './variants/subtracted-start.js';
import { pooledLora } from './variants/pooled-lora.js';
import { parseVelora } from './variants/variant-options.js';
import { veloraLinear } from './variants/velora.js';
import { fromPeftLoraConfig, toPeftLoraConfig } from './formats/lora-peft-config.js';

declare module '@peft/core' {
  interface PeftConfigs {
    lora: LoraConfig;
  }
}

/**
 * The LoRA method: `lora({ rank: 8, alpha: 16, targets: ['query', 'value'] })`.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const lora = definePeftMethod({
  name: 'lora',
  formula: 'y = base(x) + α/r·B·A·x',
  peftType: 'LORA',
  peftCommonKeys: [
    'target_modules',
    'exclude_modules',
    'layers_to_transform',
    'layers_pattern',
    'modules_to_save',
    'ensure_weight_tying',
  ],
  paper: {
    title: 'LoRA: Low-Rank Adaptation of Large Language Models',
    url: 'https://arxiv.org/abs/2106.09685',
  },
  parseConfig: parseLoraConfig,
  defaultTargets: (description, config): TargetSelection =>
    config.targetParameters?.length && !description.conventions?.queryValueTargets
      ? { targets: [] }
      : queryValueTargets(description),
  withRows: (config, rows, description) => ({
    ...config,
    trainableTokens: joined(tokenRows(config, description), rows),
  }),
  extraTargets: (config, description) => [
    ...Object.keys(tokenRows(config, description)),
    ...expertPaths(config, description),
  ],
  expertLayouts: ({ targetParameters }) =>
    targetParameters?.length ? { 'lora_A.weight': 'rows', 'lora_B.weight': 'turns' } : undefined,

  attach: {
    linear(site, config, context) {
      refuseUnmatched(config, context);
      const rows = rowsAt(site.path, config, context.description);
      if (rows)
        return trainableOutputRows(site, rows, context, 'token_adapter.trainable_tokens_delta');
      unfreezeBiases(config.bias, site, context);
      const { blockDiagonal, kasa, invocationTokens } = config;
      if (blockDiagonal) return blockDiagonalLora(site, config, blockDiagonal, context);
      if (config.poolSize) return pooledLora(site, config, config.poolSize, context);
      if (kasa) truncateBase(site, strengthAt(site.path, config).rank, context);
      const matrices = makeMatrices(site, config, context);
      if (kasa) return kasaLinear(matrices, config.dropout, kasa, context);
      if (invocationTokens) return activatedLora(matrices, config.dropout, invocationTokens);
      if (config.gating) return gatedLora(site, matrices, config.dropout, context);
      if (config.velora)
        return veloraLinear(site, matrices, config.dropout, parseVelora(config.velora), context);
      const { start } = matrices;
      if (start) return subtractedLora({ ...matrices, start }, config.dropout);
      return config.dora
        ? doraLinear(site, matrices, config.dropout, context)
        : loraLinear(matrices, config.dropout);
    },
    embedding(site, config, context) {
      refuseUnmatched(config, context);
      const rows = rowsAt(site.path, config, context.description);
      if (rows) return trainableRows(site, rows, context, 'token_adapter.trainable_tokens_delta');
      refuseVariant(site.path, config);
      const matrices = makeEmbeddingMatrices(site, config, context);
      return config.dora ? doraEmbedding(site, matrices, context) : loraEmbedding(matrices);
    },
  },

  repeatsBlocks: ({ layerReplication }) => layerReplication,
  computesFromBase: ({ init, kasa }) =>
    kasa !== undefined || loraInitializer(init).replacesBase === true,
  startsFromData: ({ init }) => isDataStart(init),
  startFromData,
  fileTensors: (config, { parameters }) =>
    isSubtracted(config) ? doubledTensors(parameters) : undefined,
  toPeftConfig: (config, context) =>
    toPeftLoraConfig(isSubtracted(config) ? doubledConfig(config) : config, context),
  fromPeftConfig: fromPeftLoraConfig,
  adapterHub: loraHub,
});

/** @throws PEFT_CONFIG_UNSUPPORTED */
function refuseVariant(path: string, config: LoraConfig): void {
  const named = (['invocationTokens', 'kasa', 'blockDiagonal', 'velora', 'poolSize'] as const).find(
    (name) => config[name],
  );
  const own = config.init === 'mica' ? "init 'mica'" : named;
  if (own)
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `lora: ${own} works on linear layers, and ${path} is an embedding.`,
      { hint: 'take it out of the targets' },
    );
}

const rowsAt = (
  path: string,
  config: LoraConfig,
  description: ModelDescription,
): readonly number[] | undefined =>
  Object.entries(tokenRows(config, description)).find(([name]) => matchesSuffix(path, name))?.[1];

function tokenRows({ trainableTokens = {} }: LoraConfig, description: ModelDescription): Rows {
  if (!isList(trainableTokens)) return trainableTokens;
  return { [wordTables(description)[0] ?? 'word embedding']: trainableTokens };
}

const refuseUnmatched = ({ rankPattern, alphaPattern }: LoraConfig, context: AttachContext): void =>
  refuseUnmatchedPatterns('lora', { rankPattern, alphaPattern }, context);

type Rows = Readonly<Record<string, readonly number[]>>;

/** Rows of both, each once. */
const joined = (some: Rows, more: Rows): Rows =>
  Object.fromEntries(
    [...new Set([...Object.keys(some), ...Object.keys(more)])].map((path) => [
      path,
      [...new Set([...(some[path] ?? []), ...(more[path] ?? [])])].sort((a, b) => a - b),
    ]),
  );

/** Experts of the parameters that are named. @throws PEFT_TARGET_NOT_FOUND */
function expertPaths(
  { targetParameters = [] }: LoraConfig,
  { modelType, sites }: ModelDescription,
): readonly string[] {
  return targetParameters.flatMap((name) => {
    const paths = sites.flatMap((site) =>
      site.kind === 'linear' && site.entry && matchesSuffix(site.entry.of, name) ? [site.path] : [],
    );
    if (paths.length > 0) return paths;
    const known = new Set(
      sites.flatMap((site) => (site.kind === 'linear' && site.entry ? [site.entry.of] : [])),
    );
    throw new PeftError(
      'PEFT_TARGET_NOT_FOUND',
      `lora: no parameter of experts ends with ${JSON.stringify(name)} in ${modelType}.`,
      {
        hint: known.size
          ? `there are such as ${[...known].slice(0, 2).join(', ')}`
          : 'the model has no experts: name modules as targets',
      },
    );
  });
}

const isList = (tokens: NonNullable<LoraConfig['trainableTokens']>): tokens is readonly number[] =>
  Array.isArray(tokens);
