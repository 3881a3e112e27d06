/** adapter_config.json of Hugging Face PEFT, both ways. */
import { didYouMean, PeftError, show } from '@peft/errors';
import { given } from '../description/given.js';
import type { ModelDescription } from '../description/model-description.js';
import type { Site } from '../description/sites.js';
import { type CommonConfig, parseCommonConfig } from '../description/target-selection.js';
import type { AdapterAbout, AdapterConfigJson } from '../method/adapter-file.js';
import type {
  AdapterShapes,
  AdapterView,
  AnyMethod,
  AttachedPart,
  MethodPart,
  MethodSpec,
  PeftCommonKey,
} from '../method/peft-method.js';

/** The version of PEFT whose files these are. */
const PEFT_VERSION = '0.21.0';
const DEFAULT_COMMON_KEYS: readonly PeftCommonKey[] = [
  'target_modules',
  'exclude_modules',
  'modules_to_save',
];
/** PEFT adds them for classification. */
const CLASSIFIER_MODULES = ['classifier', 'score'];

const TASK_TYPES: Readonly<Record<ModelDescription['head']['kind'], string | null>> = {
  none: 'FEATURE_EXTRACTION',
  'pooled-linear': 'FEATURE_EXTRACTION',
  'sequence-classification': 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
  'masked-lm': null,
  'causal-lm': 'CAUSAL_LM',
  'seq2seq-lm': 'SEQ_2_SEQ_LM',
};

/**
 * `peft_type` of a method: PEFT's, or its own name in the same spelling where PEFT has no such
 * method.
 */
export const peftTypeOf = ({ name, peftType }: Pick<AnyMethod, 'name' | 'peftType'>): string =>
  peftType ?? (name as string).toUpperCase().replaceAll('-', '_');

/**
 * The config of an adapter. A combination of one PEFT method with methods that only unfreeze is
 * written as that method, and PEFT loads the unfrozen tensors with it; any other combination as `{
 * architecture: 'union', configs }`, which PEFT lacks.
 */
export function writePeftConfig(
  adapter: AdapterView,
  about: AdapterAbout,
): Record<string, unknown> {
  const written = adapter.parts.length === 1 ? adapter.parts[0]! : onlyPeftPart(adapter);
  const general = {
    auto_mapping: null,
    base_model_name_or_path: about.baseModel ?? null,
    inference_mode: true,
    peft_version: PEFT_VERSION,
    revision: about.revision ?? null,
    task_type: TASK_TYPES[adapter.description.head.kind],
  };
  const config = written
    ? { ...general, ...partConfig(adapter, written) }
    : {
        ...general,
        architecture: 'union',
        configs: adapter.parts.map((part) => partConfig(adapter, part)),
      };
  return adapter.source?.format === 'peft'
    ? { ...adapter.source.config, ...config, ...keptOf(adapter.source.config, config) }
    : config;
}

/** The part whose config stands for the whole: the others make no parameters of their own. */
function onlyPeftPart({ parts, parameters }: AdapterView): AttachedPart | undefined {
  const makers = new Set(
    [...parameters.values()].filter(({ origin }) => origin === 'new').map(({ method }) => method),
  );
  const known = parts.filter(({ part: { method } }) => method.peftType !== undefined);
  const [first] = known;
  return known.length === 1 && [...makers].every((name) => name === first!.part.method.name)
    ? first
    : undefined;
}

/** What a loaded file said and a config made anew cannot know better. */
function keptOf(loaded: AdapterConfigJson, made: Record<string, unknown>): Record<string, unknown> {
  const kept = [
    'auto_mapping',
    'base_model_name_or_path',
    'inference_mode',
    'modules_to_save',
    'peft_version',
    'revision',
    'task_type',
    'target_modules',
    'feedforward_modules',
    'fan_in_fan_out',
    'layers_pattern',
    'layers_to_transform',
    'exclude_modules',
    'num_attention_heads',
    'num_layers',
  ];
  return Object.fromEntries(
    kept.filter((key) => key in loaded && key in made).map((key) => [key, loaded[key]]),
  );
}

function partConfig(adapter: AdapterView, { part, sites }: AttachedPart): Record<string, unknown> {
  const { method, config, common } = part;
  const context = {
    description: adapter.description,
    sites,
    parameters: adapter.parameters,
    shared: adapter.shared,
  };
  const keys = method.peftCommonKeys ?? DEFAULT_COMMON_KEYS;
  const own = method.toPeftConfig?.(config, context) ?? { ...(config as object) };
  const all: Record<PeftCommonKey, unknown> = {
    target_modules: targetModules(adapter, part, modulePaths(adapter, part, sites), keys),
    exclude_modules: common.excludeModules ?? null,
    layers_to_transform: common.layersToTransform ?? null,
    layers_pattern: common.layersPattern ?? null,
    modules_to_save: modulesToSave(adapter, common),
    ensure_weight_tying: common.ensureWeightTying ?? false,
  };
  return {
    peft_type: peftTypeOf(method),
    ...Object.fromEntries(keys.map((key) => [key, all[key]])),
    ...own,
  };
}

/** Paths of the sites, but for experts that PEFT reaches by the parameter that holds them. */
function modulePaths(
  { description }: AdapterView,
  { method, config }: MethodPart,
  sites: readonly Site[],
): readonly string[] {
  const byParameter = new Set(
    method.expertLayouts?.(config) ? method.extraTargets?.(config, description) : [],
  );
  return sites.flatMap(({ path }) => (byParameter.has(path) ? [] : [path]));
}

/** Names where they mean the same to PEFT, else every path. */
function targetModules(
  { description }: AdapterView,
  { method, config, common }: MethodPart,
  paths: readonly string[],
  keys: readonly PeftCommonKey[],
): unknown {
  const isExpressible =
    (common.layersToTransform === undefined || keys.includes('layers_to_transform')) &&
    (common.excludeModules === undefined || keys.includes('exclude_modules'));
  const targets = common.targets ?? method.defaultTargets(description, config).targets;
  if (isExpressible && typeof targets === 'string' && targets !== 'all-linear') return targets;
  return isExpressible && Array.isArray(targets) ? targets : paths;
}

function modulesToSave(
  { description }: AdapterView,
  { modulesToSave: asked }: CommonConfig,
): readonly string[] | null {
  const isClassifier = ['sequence-classification', 'token-classification'].includes(
    description.head.kind,
  );
  if (asked?.length === 0) return null;
  const other = description.headModules.filter((module) => !CLASSIFIER_MODULES.includes(module));
  return isClassifier ? [...(asked ?? []), ...other, ...CLASSIFIER_MODULES] : (asked ?? null);
}

/** @throws PEFT_METHOD_UNKNOWN, PEFT_CONFIG_INVALID and what the method's own reader throws. */
export function readPeftSpec(
  json: AdapterConfigJson,
  methods: readonly AnyMethod[],
  shapes?: AdapterShapes,
  folder?: string,
): MethodSpec {
  if (json['architecture'] !== 'union') return readPart(json, json, methods, shapes, folder);
  const configs = json['configs'];
  if (!Array.isArray(configs) || configs.length === 0)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `adapter_config.json: configs must be a list of configs, got ${show(configs)}.`,
    );
  const parts = configs.flatMap(
    (config: AdapterConfigJson) => readPart(config, json, methods, shapes, folder).parts,
  );
  return Object.freeze({ name: parts.map(({ method }) => method.name).join('+'), parts });
}

function readPart(
  json: AdapterConfigJson,
  whole: AdapterConfigJson,
  methods: readonly AnyMethod[],
  shapes: AdapterShapes | undefined,
  folder: string | undefined,
): MethodSpec {
  const type = json['peft_type'];
  const method = methods.find((candidate) => peftTypeOf(candidate) === type);
  if (!method) {
    const types = methods.map(peftTypeOf);
    throw new PeftError(
      'PEFT_METHOD_UNKNOWN',
      `adapter_config.json: peft_type ${show(type)} is none of the methods at hand (${types.join(', ') || 'none'}).`,
      {
        hint: `${didYouMean(String(type), types)} Pass the method's package to loadAdapter.`.trim(),
      },
    );
  }
  const keys = method.peftCommonKeys ?? DEFAULT_COMMON_KEYS;
  const value = <T>(key: PeftCommonKey): T | undefined =>
    keys.includes(key) ? ((json[key] ?? undefined) as T | undefined) : undefined;
  const targets = value<CommonConfig['targets']>('target_modules');
  // none but what the config targets otherwise (`target_parameters`)
  const isNone = Array.isArray(targets) && targets.length === 0;
  const layersPattern = value<string | string[]>('layers_pattern');
  const common = parseCommonConfig(method.name, {
    targets: isNone ? undefined : spelled(targets),
    excludeModules: value<string[]>('exclude_modules'),
    layersToTransform: value<number[]>('layers_to_transform'),
    layersPattern: layersPattern?.length ? layersPattern : undefined,
    ensureWeightTying: value('ensure_weight_tying') === true ? true : undefined,
    modulesToSave: ((keys.includes('modules_to_save')
      ? json['modules_to_save']
      : whole['modules_to_save']) ?? []) as string[],
  });
  const config = method.fromPeftConfig
    ? method.fromPeftConfig(json, shapes, folder)
    : ownOptions(json);
  return Object.freeze({
    name: method.name,
    parts: Object.freeze([
      // the method read this config itself, so that it is one of its own
      Object.freeze({
        method,
        config: method.parseConfig(given(withoutNulls(config)) as never) as never,
        common: isNone ? { ...common, targets: [] } : common,
      }),
    ]),
  });
}

const spelled = (targets: CommonConfig['targets']): CommonConfig['targets'] =>
  typeof targets === 'string' && targets.toLowerCase() === 'all-linear' ? 'all-linear' : targets;

/** Options of a method that PEFT lacks are written as they are. */
const GENERAL_KEYS = [
  'peft_type',
  'auto_mapping',
  'base_model_name_or_path',
  'inference_mode',
  'peft_version',
  'revision',
  'task_type',
  'architecture',
  'configs',
  'runtime_config',
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'layers_pattern',
  'modules_to_save',
  'ensure_weight_tying',
];
const ownOptions = (json: AdapterConfigJson): Record<string, unknown> =>
  Object.fromEntries(Object.entries(json).filter(([key]) => !GENERAL_KEYS.includes(key)));

/** PEFT's null stands for an option's default, also of flags. */
const withoutNulls = (config: object): object =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null));
