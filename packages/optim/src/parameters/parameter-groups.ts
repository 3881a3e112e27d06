/**
 * Which learning rate and weight decay each parameter gets: one rate, two stages, layer-wise decay
 * (AutoGluon), LoRA+.
 */
import { check, didYouMean, PeftError } from '@peft/errors';
import { integerPower } from '../rules/integer-power.js';
import type { ParameterGroup } from './parameter.js';

/** What all groups are made of: the weight decay λ ≥ 0, and which parameters it spares. */
export interface GroupOptions {
  readonly weightDecay: number;
  /**
   * Parameters of LayerNorm, BatchNorm and GroupNorm modules; they are not decayed. Not T5's or
   * Llama's RMS norms: those are.
   */
  readonly normParameters: ReadonlySet<string>;
}

/**
 * No decay for norm parameters and names that contain `bias`, `cls_token` or a feature tokenizer's;
 * all others decay, IA3 vectors too.
 */
export function isDecayed(name: string, normParameters: ReadonlySet<string>): boolean {
  return (
    !normParameters.has(name) &&
    !['bias', 'cls_token', 'categorical_feature_tokenizer', 'numerical_feature_tokenizer'].some(
      (part) => name.includes(part),
    )
  );
}

/** Every parameter at the plain rate. */
export function singleRateGroups(
  parameterNames: readonly string[],
  options: GroupOptions,
): Map<string, ParameterGroup> {
  return grouped(parameterNames, options, () => 1);
}

/**
 * Layer-wise decay: lr·decay^id, ids from `layerIds`.
 * @throws PEFT_OPTIM_LAYER_ID_MISSING for a name without an id.
 */
export function layerwiseGroups(
  parameterNames: readonly string[],
  options: GroupOptions & {
    readonly layerDecay: number;
    readonly ids: ReadonlyMap<string, number>;
  },
): Map<string, ParameterGroup> {
  check.positive('optim', 'layerDecay', options.layerDecay);
  return grouped(parameterNames, options, (name) =>
    integerPower(options.layerDecay, idOf(name, options.ids)),
  );
}

/**
 * Two stages: parameters of layer id 0 (the head) at lr·headMultiplier, as AutoGluon's `two_stages`
 * does it, the others at lr.
 */
export function twoStageGroups(
  parameterNames: readonly string[],
  options: GroupOptions & {
    readonly headMultiplier: number;
    readonly ids: ReadonlyMap<string, number>;
  },
): Map<string, ParameterGroup> {
  check.positive('optim', 'headMultiplier', options.headMultiplier);
  return grouped(parameterNames, options, (name) =>
    idOf(name, options.ids) === 0 ? options.headMultiplier : 1,
  );
}

/** Settings of `loraPlusGroups`. */
export interface LoraPlusOptions extends GroupOptions {
  /** λ of the paper: how many times faster B learns than A. Default 16. */
  readonly ratio?: number;
  /** Names of one-dimensional parameters (they learn like B). */
  readonly vectorParameters?: ReadonlySet<string>;
  /**
   * Scale of LoRA on embeddings (`lora_embedding_A`, `lora_embedding_B`) against the plain rate.
   * Default 1.
   */
  readonly embeddingScale?: number;
}

/**
 * LoRA+: `lora_B` and vectors learn `ratio` times faster than the rest.
 * @see Hayou et al. 2024, LoRA+: Efficient Low Rank Adaptation of Large Models
 */
export function loraPlusGroups(
  parameterNames: readonly string[],
  options: LoraPlusOptions,
): Map<string, ParameterGroup> {
  const { ratio = 16, embeddingScale = 1, vectorParameters = new Set<string>() } = options;
  check.positive('optim', 'ratio', ratio);
  check.positive('optim', 'embeddingScale', embeddingScale);
  return grouped(parameterNames, options, (name) => {
    if (name.includes('lora_embedding_')) return embeddingScale;
    return name.includes('lora_B') || vectorParameters.has(name) ? ratio : 1;
  });
}

function grouped(
  parameterNames: readonly string[],
  { weightDecay, normParameters }: GroupOptions,
  scale: (name: string) => number,
): Map<string, ParameterGroup> {
  if (!(weightDecay >= 0 && Number.isFinite(weightDecay)))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `optim: weightDecay must be a number of at least 0, got ${weightDecay}.`,
    );
  return new Map(
    parameterNames.map((name) => [
      name,
      {
        learningRateScale: scale(name),
        weightDecay: isDecayed(name, normParameters) ? weightDecay : 0,
      },
    ]),
  );
}

function idOf(name: string, ids: ReadonlyMap<string, number>): number {
  const id = ids.get(name);
  if (id === undefined) {
    throw new PeftError(
      'PEFT_OPTIM_LAYER_ID_MISSING',
      `optim: there is no layer id for the parameter ${JSON.stringify(name)}.`,
      { hint: didYouMean(name, ids.keys()) || 'Pass all parameter names to layerIds.' },
    );
  }
  return id;
}
