/** LoRA's options in adapter_config.json, both ways. */
import { valueAt, type PeftConfigContext, type Site } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import {
  parseVelora,
  type BlockDiagonal,
  type VeloraOptions,
} from '../variants/variant-options.js';
import type { LoraConfig } from '../lora-config.js';
import { loftqInit } from '../decompositions/lora-decompositions.js';
import { loraInitializer } from '../variants/lora-init.js';

/**
 * Every key that PEFT writes for LoRA and methods made from it, beside the common ones, at its
 * default; what this package lacks is off.
 */
export function loraPeftKeys(sites: readonly Site[]): Record<string, unknown> {
  return {
    ...Object.fromEntries(UNSUPPORTED.map(({ key, off }) => [key, off])),
    alora_invocation_tokens: null,
    kasa_config: null,
    layer_replication: null,
    velora_config: null,
    use_bdlora: null,
    use_qalora: false,
    r: 8,
    lora_alpha: 8,
    lora_dropout: 0,
    fan_in_fan_out: sites.some((site) => site.kind === 'linear' && site.transposed && !site.entry),
    bias: 'none',
    use_rslora: false,
    use_dora: false,
    lora_bias: false,
    init_lora_weights: true,
    rank_pattern: {},
    alpha_pattern: {},
    trainable_token_indices: null,
    target_parameters: null,
    loftq_config: {},
    eva_config: null,
    corda_config: null,
    lora_ga_config: null,
    megatron_config: null,
    megatron_core: 'megatron.core',
    qalora_group_size: 16,
  };
}

export function toPeftLoraConfig(
  config: LoraConfig,
  { sites }: PeftConfigContext,
): Record<string, unknown> {
  if (config.gating)
    throw new PeftError('PEFT_FORMAT_UNSUPPORTED', 'lora: PEFT has no gates.', {
      hint: "save it in adapter-hub's layout: format: adapterHubFormat",
    });
  return {
    ...loraPeftKeys(sites),
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    bias: config.bias,
    use_rslora: config.rankStabilized,
    use_dora: config.dora,
    lora_bias: config.loraBias,
    init_lora_weights: loraInitializer(config.init).peftValue,
    ...loraInitializer(config.init).peftConfig,
    rank_pattern: sortedPattern(config.rankPattern, sites),
    alpha_pattern: sortedPattern(config.alphaPattern, sites),
    trainable_token_indices: config.trainableTokens ?? null,
    target_parameters: config.targetParameters ?? null,
    alora_invocation_tokens: config.invocationTokens ?? null,
    kasa_config: config.kasa ?? null,
    layer_replication: config.layerReplication ?? null,
    velora_config: config.velora ? toPeftVelora(config.velora) : null,
    use_bdlora: config.blockDiagonal ? toPeftBlocks(config.blockDiagonal) : null,
    use_qalora: config.poolSize !== undefined,
    ...(config.poolSize === undefined ? {} : { qalora_group_size: config.poolSize }),
  };
}

/** VeLoRA's options in PEFT's words. */
function toPeftVelora(velora: VeloraOptions): Record<string, unknown> {
  const { groups, scale, init } = parseVelora(velora);
  return { num_groups: groups, scale, init_type: init };
}

const fromPeftVelora = ({
  num_groups: groups,
  scale,
  init_type: init,
}: Readonly<Record<string, unknown>>): VeloraOptions =>
  Object.fromEntries(
    Object.entries({ groups, scale, init }).filter(([, value]) => value !== undefined),
  );

/** BD-LoRA's lists in PEFT's words. */
const toPeftBlocks = ({ a, b, blocks, strict = true }: BlockDiagonal): Record<string, unknown> => ({
  target_modules_bd_a: a ?? null,
  target_modules_bd_b: b ?? null,
  nblocks: blocks,
  match_strict: strict,
});

function fromPeftBlocks(json: Readonly<Record<string, unknown>>): BlockDiagonal {
  const {
    target_modules_bd_a: a,
    target_modules_bd_b: b,
    nblocks = 1,
    match_strict: strict,
  } = json;
  return {
    ...(a ? { a: a as string[] } : {}),
    ...(b ? { b: b as string[] } : {}),
    blocks: nblocks as number,
    strict: (strict ?? true) as boolean,
  };
}

/**
 * In a file the keys are sorted, and the first that matches counts: where that would change a
 * value, each path has its own key.
 */
function sortedPattern(
  pattern: Readonly<Record<string, number>>,
  sites: readonly Site[],
): Readonly<Record<string, number>> {
  const sorted = Object.fromEntries(Object.entries(pattern).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (sites.every(({ path }) => valueAt(path, sorted) === valueAt(path, pattern))) return pattern;
  return Object.fromEntries(
    sites.flatMap(({ path }) => {
      const value = valueAt(path, pattern);
      return value === undefined ? [] : [[path.replaceAll('.', '\\.'), value]];
    }),
  );
}

/**
 * @throws PEFT_CONFIG_UNSUPPORTED when the file asks for something that would compute other
 *   numbers.
 */
export function fromPeftLoraConfig(json: Readonly<Record<string, unknown>>): Partial<LoraConfig> {
  if (isSettings(json['arrow_config'])) throw isRouter(json['arrow_config']);
  for (const { key, off } of UNSUPPORTED) {
    const value = json[key];
    if (value !== undefined && value !== null && value !== off)
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `lora: adapter_config.json sets ${key} to ${show(value)}, which is not supported.`,
        { hint: 'merge the adapter into its model in Python, or train one without it' },
      );
  }
  const known: Partial<LoraConfig> = {
    rank: json['r'] as number,
    alpha: json['lora_alpha'] as number,
    dropout: json['lora_dropout'] as number,
    bias: json['bias'] as LoraConfig['bias'],
    rankStabilized: json['use_rslora'] as boolean,
    dora: json['use_dora'] as boolean,
    loraBias: json['lora_bias'] as boolean,
    init: initFromPeft(json),
    rankPattern: (json['rank_pattern'] ?? {}) as LoraConfig['rankPattern'],
    alphaPattern: (json['alpha_pattern'] ?? {}) as LoraConfig['alphaPattern'],
    trainableTokens: (json['trainable_token_indices'] ??
      undefined) as LoraConfig['trainableTokens'],
    targetParameters: (json['target_parameters'] ?? undefined) as LoraConfig['targetParameters'],
    invocationTokens: (json['alora_invocation_tokens'] ??
      undefined) as LoraConfig['invocationTokens'],
    layerReplication: (json['layer_replication'] ?? undefined) as LoraConfig['layerReplication'],
    velora: isSettings(json['velora_config']) ? fromPeftVelora(json['velora_config']) : undefined,
    kasa: (json['kasa_config'] ?? undefined) as LoraConfig['kasa'],
    poolSize:
      json['use_qalora'] === true ? ((json['qalora_group_size'] ?? 16) as number) : undefined,
    blockDiagonal: isSettings(json['use_bdlora']) ? fromPeftBlocks(json['use_bdlora']) : undefined,
  };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/**
 * What PEFT saves of a router of Arrow: which adapters it chooses among. The matrices that lie beside
 * that are of a LoRA of no use.
 */
function isRouter(arrow: Readonly<Record<string, unknown>>): PeftError {
  const { task_adapter_names: tasks, gks_adapter_names: general, top_k: topK = 3 } = arrow;
  const { router_temperature: temperature = 1, use_gks: isSubtracted = false } = arrow;
  const routed = {
    adapters: tasks ?? [],
    ...(isSubtracted === true ? { general: general ?? [] } : {}),
    topK,
    temperature,
  };
  return new PeftError(
    'PEFT_CONFIG_UNSUPPORTED',
    `lora: adapter_config.json has an arrow_config: this is a router among ${show(tasks ?? [])}, and holds none of them.`,
    {
      hint:
        'load these, which PEFT saved into folders of their own beside this one, and route among them: ' +
        `routeLora(model, 'routed', ${JSON.stringify(routed)}), or peft generate --route`,
    },
  );
}

/** Options that change what is computed and that this package lacks. */
const UNSUPPORTED: readonly { readonly key: string; readonly off: unknown }[] = [
  ...['arrow_config', 'monteclora_config'].map((key) => ({
    key,
    off: null,
  })),
];

/** These only choose start values, which the file replaces. */
const START_ONLY = ['eva'];

function initFromPeft({
  init_lora_weights: value,
  loftq_config: loftq,
  eva_config: eva = null,
}: Readonly<Record<string, unknown>>): LoraConfig['init'] | undefined {
  if (value === undefined || value === null || value === true)
    return value === true ? 'default' : undefined;
  if (value === false) return 'random';
  if (typeof value === 'string' && START_ONLY.includes(value))
    return {
      name: value,
      peftValue: value,
      peftConfig: { eva_config: eva },
      start: () => ({
        a: (shape) => new Float32Array(size(shape)),
        b: (shape) => new Float32Array(size(shape)),
      }),
    };
  if (value === 'corda' || value === 'lora_ga') {
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `lora: the adapter was started with init_lora_weights ${show(value)}, which changed the base model's weights.`,
      {
        hint: 'convert it in Python: save_pretrained(path, path_initial_model_for_weight_conversion=…)',
      },
    );
  }
  if (value === 'loftq')
    return loftqInit((loftq as { loftq_iter?: number } | null)?.loftq_iter ?? 1);
  return value as string;
}

const size = (shape: readonly number[]): number =>
  shape.reduce((product, length) => product * length, 1);

const isSettings = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
