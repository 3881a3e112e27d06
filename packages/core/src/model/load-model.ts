/** Loads a model: a checkpoint's config and weights, with a head. */
import { quantizedStore } from '@peft/hub';
import { PeftError } from '@peft/errors';
import type { Engine } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { AttachOptions } from '../adapter/attach-adapter.js';
import type { HeadOptions, ModelDescription } from '../description/model-description.js';
import type { SiteKind } from '../description/sites.js';
import { withVocabularySize } from '../description/vocabulary.js';
import type { FittingSpec, MethodSpec } from '../method/peft-method.js';
import type { Architecture } from './architecture.js';
import { describeModel } from './form/describe-model.js';
import { Model } from './model.js';
import { requireStage } from './stage/stage.js';
import { requireShapes, storedParameters } from './weights/stored-parameters.js';
import type { WeightStore } from './weights/weight-store.js';
import { loadWeights, type LoadWeightsOptions } from './weights/weights.js';

/** How a model is made from a description and weights. */
export interface ModelOptions extends LoadWeightsOptions {
  /** Default `{ kind: 'none' }`: the bare backbone. */
  readonly head?: HeadOptions;
  /** What was found before and the user should know; the model's warnings begin with it. */
  readonly warnings?: readonly string[];
}

/**
 * A model that is known to have sites of these kinds alone: a method that finds none of its own
 * does not compile.
 */
export interface ModelWith<Kinds extends SiteKind> extends Model {
  addAdapter<Needs extends SiteKind>(
    name: string,
    spec: MethodSpec<Needs> & FittingSpec<Needs, Kinds>,
    options?: AttachOptions,
  ): Adapter;
}

/**
 * Loads a model. The caller disposes it.
 *
 * @param checkpointConfig the parsed `config.json`.
 * @param store its tensors, also quantised ones (`quantization_config`); may be closed
 *   afterwards unless the engine maps the file.
 * @throws PEFT_MODEL_CONFIG, PEFT_WEIGHT_MISSING, PEFT_WEIGHT_SHAPE, PEFT_QUANTIZATION_METHOD,
 *   PEFT_QUANTIZATION_CONFIG, PEFT_QUANTIZED_PARTS, PEFT_STAGE_UNSUPPORTED,
 *   PEFT_SHARDS_UNSUPPORTED
 */
export function loadModel<Config, Kinds extends SiteKind = SiteKind>(
  architecture: Architecture<Config, Kinds>,
  checkpointConfig: Readonly<Record<string, unknown>>,
  store: WeightStore,
  engine: Engine,
  options: ModelOptions = {},
): ModelWith<Kinds> {
  const { vocabularySize } = options;
  const configJson =
    vocabularySize === undefined
      ? checkpointConfig
      : withVocabularySize(checkpointConfig, vocabularySize);
  const warnings: string[] = [...(options.warnings ?? [])];
  const isLanguageModel = /-lm$/.test(options.head?.kind ?? 'none');
  const warn = (message: string) => void (isLanguageModel && warnings.push(message));
  const readable = withQuantized(store, configJson);
  const config = settled(architecture, configJson, readable, warn);
  const description = describeModel(architecture, config, options.head);
  if (options.stage) requireStage(description, options.stage);
  if (options.stage && options.shardRanks)
    throw new PeftError(
      'PEFT_SHARDS_UNSUPPORTED',
      `${description.modelType}: a stage holds its blocks whole, and cannot share them, too.`,
      { hint: 'give stage or shardRanks' },
    );
  const weights = loadWeights(description, readable, engine, options);
  const random = isLanguageModel
    ? weights.fresh.filter((name) => isOutputLayer(name, description))
    : [];
  if (random.length)
    warnings.push(
      `the checkpoint lacks ${random.join(', ')}, which config.json does not tie to the ` +
        'embedding: random values stand in for it.',
    );
  return new Model(
    architecture as unknown as Architecture<unknown>, // whose config is the one beside it
    config,
    configJson,
    description,
    weights,
    engine,
    warnings,
    options.stage,
  ) as ModelWith<Kinds>;
}

/**
 * Compares the sizes of a config with those of the weights, reading and allocating nothing: before
 * anything is planned or made by them.
 * @throws PEFT_MODEL_CONFIG, PEFT_WEIGHT_SHAPE with the first tensors of another shape
 */
export function checkConfigSizes<Config>(
  architecture: Architecture<Config>,
  configJson: Readonly<Record<string, unknown>>,
  store: WeightStore,
): void {
  const readable = withQuantized(store, configJson);
  const config = settled(architecture, configJson, readable, () => undefined);
  const description = describeModel(architecture, config);
  requireShapes(description, storedParameters(description, readable));
}

function settled<Config>(
  architecture: Pick<Architecture<Config>, 'parseConfig' | 'settle'>,
  configJson: Readonly<Record<string, unknown>>,
  store: WeightStore,
  warn: (message: string) => void,
): Config {
  const parsed = architecture.parseConfig(configJson);
  return architecture.settle ? architecture.settle(parsed, store, warn) : parsed;
}

function withQuantized(
  store: WeightStore,
  configJson: Readonly<Record<string, unknown>>,
): WeightStore {
  if (store.quantized) return store;
  const found: WeightStore = quantizedStore(store, configJson['quantization_config']);
  return found === store ? store : { ...found, close: () => store.close?.() };
}

const isOutputLayer = (name: string, { sites }: ModelDescription): boolean =>
  sites.some((site) => site.kind === 'linear' && site.isOutputHead && site.weight === name);
