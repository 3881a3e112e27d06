/**
 * The layout of the adapter-hub library (`adapters` 1.2).
 *
 * Keys are those of its modules, with the adapter's name in them:
 * `bert.encoder.layer.0.output.adapters.<name>.adapter_down.0.weight`. One tensor may appear under
 * several names in a `pytorch_adapter.bin` (a prefix once per block); the shortest is the one that
 * is written. The head is stored apart, beside a config of its own.
 */
import { PeftError, show } from '@peft/errors';
import { given } from '../description/given.js';
import type { ModelDescription } from '../description/model-description.js';
import type { CommonConfig } from '../description/target-selection.js';
import type { AdapterAbout, AdapterConfigJson } from '../method/adapter-file.js';
import type { OwnedParameter } from '../method/attach-context.js';
import { combineMethods, specOf } from '../method/define-peft-method.js';
import type { AdapterFormat, AdapterView, AnyMethod, AttachedPart } from '../method/peft-method.js';
import { hubModelClass, hubPlace } from './adapter-hub-places.js';

/** The version of the library whose files these are. */
const VERSION = 'adapters.1.2.0';

/** Words that stand in front of an adapter's name in a key. */
const OWNERS = [
  'adapters',
  'loras',
  'refts',
  'prefix_tunings',
  'prefix_gates',
  'prompt_tunings',
  'invertible_adapters',
  'shared_parameters',
  'adapter_fusion_layer',
];
const NAMED = new RegExp(`(^|\\.)(${OWNERS.join('|')})\\.([^.]+)\\.`);

/** Other names for the same tensor, from modules that hold another's parts. */
const ALIASES: readonly (readonly [RegExp, string])[] = [
  [/^.*\.prefix_tuning\.pool\.prefix_tunings\./, 'prefix_tuning.prefix_tunings.'],
  [/\.adapter_norm_before\./, '.adapter_down.0.'],
];

/**
 * Files as adapter-hub's `adapters` library 1.x writes and reads them: `adapter_config.json` with
 * its `config` and `model_class`, weights under adapter-hub's module names, the head beside them.
 */
export const adapterHubFormat: AdapterFormat = Object.freeze({
  name: 'adapter-hub',
  floatKeys: Object.freeze([
    'scaling',
    'dropout',
    'stochastic_depth',
    'phm_init_range',
    'weights_sharpness',
  ]),
  weightFiles: Object.freeze(['adapter.safetensors', 'pytorch_adapter.bin']),
  head: Object.freeze({
    weightFiles: Object.freeze(['model_head.safetensors', 'pytorch_model_head.bin']),
    configFile: 'head_config.json',
    modules: hubHeadModules,
    writeConfig: ({ description }, about) => ({
      ...hubAbout(description, about),
      config: null,
      label2id: labelsOf(description),
      name: null,
      num_labels: 'outputs' in description.head ? description.head.outputs : null,
    }),
  }),
  recognises: (config) =>
    'model_type' in config &&
    'config' in config &&
    (typeof config['config'] === 'string' ||
      (typeof config['config'] === 'object' && config['config'] !== null)),
  adapterName: (config) => (typeof config['name'] === 'string' ? config['name'] : undefined),

  readSpec(config, methods, description, keys) {
    const json = config['config'] as AdapterConfigJson | string;
    const parts =
      typeof json === 'object' && json['architecture'] === 'union'
        ? (json['configs'] as readonly (AdapterConfigJson | string)[])
        : [json];
    const specs = parts.map((part) => partSpec(part, config, methods, description, keys));
    return specs.length === 1
      ? specs[0]!
      : combineMethods(specs.map(({ name }) => name).join('+'), ...specs);
  },

  writeConfig(adapter, about) {
    const [first, ...rest] = adapter.parts.map((part) => partConfig(adapter, part));
    const made = {
      ...hubAbout(adapter.description, about),
      config: rest.length === 0 ? first : { architecture: 'union', configs: [first, ...rest] },
      name: adapter.name,
    };
    return adapter.source?.format === 'adapter-hub'
      ? { ...made, ...adapter.source.config, name: adapter.name }
      : made;
  },

  /** DoRA's lengths are the weight of a linear map from one feature. */
  fileShape: (key, shape) => (/\.loras\.[^.]+\.m\.weight$/.test(key) ? [...shape, 1] : shape),

  keyOf: (adapter, parameter) => hubKey(adapter, parameter),
  keyOfTensor: (_, name) => name,

  readKey(key, { adapter, keys }) {
    const { basePrefix } = adapter.description;
    const canonical = canonicalOf(key, basePrefix);
    const name = placesOf(adapter).get(canonical) ?? baseNamed(adapter.description, canonical);
    return name === undefined
      ? undefined
      : { of: chosenKeys(keys, basePrefix).get(canonical) === key ? 'parameter' : 'repeat', name };
  },
} satisfies AdapterFormat);

/** What all of the library's configs say about the model. */
export function hubAbout(
  description: ModelDescription,
  { baseModel }: AdapterAbout,
): Record<string, unknown> {
  return {
    hidden_size: description.hiddenSize,
    model_class: hubModelClass(description),
    model_name: baseModel ?? null,
    model_type: description.modelType,
    version: VERSION,
  };
}

/** A key without class prefix, with `*` for the adapter's name, and by the tensor's own name. */
function canonicalOf(key: string, basePrefix: string): string {
  const own = ALIASES.reduce((name, [alias, plain]) => name.replace(alias, plain), key).replace(
    NAMED,
    '$1$2.*.',
  );
  return basePrefix && own.startsWith(`${basePrefix}.`) ? own.slice(basePrefix.length + 1) : own;
}

const placesByAdapter = new WeakMap<AdapterView, ReadonlyMap<string, string>>();

/** Canonical key → name of the parameter. */
function placesOf(adapter: AdapterView): ReadonlyMap<string, string> {
  const known = placesByAdapter.get(adapter);
  if (known) return known;
  const saved = [...adapter.parameters.values()].filter((parameter) => parameter.saved);
  const places = new Map(
    saved.map((parameter) => [
      canonicalOf(hubKey(adapter, parameter), adapter.description.basePrefix),
      parameter.name,
    ]),
  );
  placesByAdapter.set(adapter, places);
  return places;
}

/** The model's own parameter of that name, which a file may bring along whole. */
const baseNamed = (
  { parameters, basePrefix }: ModelDescription,
  canonical: string,
): string | undefined =>
  parameters.find(({ name }) => canonicalOf(name, basePrefix) === canonical)?.name;

const chosenByFile = new WeakMap<readonly string[], ReadonlyMap<string, string>>();

/**
 * Canonical key → the key to read: the shortest, which is the tensor's own where the file has it.
 */
function chosenKeys(keys: readonly string[], basePrefix: string): ReadonlyMap<string, string> {
  const known = chosenByFile.get(keys);
  if (known) return known;
  const chosen = new Map<string, string>();
  for (const key of [...keys].sort((a, b) => b.length - a.length))
    chosen.set(canonicalOf(key, basePrefix), key);
  chosenByFile.set(keys, chosen);
  return chosen;
}

function hubKey(adapter: AdapterView, parameter: OwnedParameter): string {
  if (parameter.origin === 'unfrozen') return parameter.name;
  const part = adapter.parts.find(({ part: { method } }) => method.name === parameter.method)!;
  const mapping = mappingOf(part);
  const local =
    parameter.site && parameter.name.startsWith(`${parameter.site.path}.`)
      ? parameter.name.slice(parameter.site.path.length + 1)
      : parameter.name;
  const key = mapping.key(local, part.part.config);
  return `${hubPlace(key.split('.')[0]!, parameter.site, adapter.description)}${key.replace('.*.', `.${adapter.name}.`)}`;
}

/** Options of a method: without the packages of methods core knows none of them by type. */
type AnyOptions = CommonConfig & Readonly<Record<string, unknown>>;

function mappingOf({ part: { method } }: AttachedPart): NonNullable<AnyMethod['adapterHub']> {
  if (!method.adapterHub)
    throw new PeftError(
      'PEFT_FORMAT_UNSUPPORTED',
      `${method.name as string}: adapter-hub has no such method.`,
      { hint: "save it in PEFT's layout" },
    );
  return method.adapterHub;
}

function partSpec(
  json: AdapterConfigJson | string,
  file: AdapterConfigJson,
  methods: readonly AnyMethod[],
  description: ModelDescription,
  keys: readonly string[],
) {
  for (const method of methods) {
    const options = method.adapterHub?.fromConfig(json, {
      description,
      keys,
      version: String(file['version'] ?? ''),
    }) as AnyOptions | undefined;
    if (options !== undefined)
      return specOf(method, {
        ...options,
        modulesToSave: isMoreThan(hubHeadModules(description), description.headModules)
          ? hubHeadModules(description)
          : undefined,
      });
  }
  const known = methods.filter(({ adapterHub }) => adapterHub).map(({ name }) => name as string);
  throw new PeftError(
    'PEFT_METHOD_UNKNOWN',
    `adapter-hub: none of the methods at hand (${known.join(', ') || 'none'}) reads the config ${show(json)}.`,
    { hint: "pass the method's package to loadAdapter" },
  );
}

function partConfig(adapter: AdapterView, attached: AttachedPart): Record<string, unknown> {
  const {
    part: { method, config, common },
    sites,
  } = attached;
  const made = mappingOf(attached).toConfig(config, {
    description: adapter.description,
    sites,
    parameters: adapter.parameters,
    shared: adapter.shared,
  });
  if (
    common.targets !== undefined ||
    common.excludeModules !== undefined ||
    common.layersToTransform !== undefined
  ) {
    const read = method.adapterHub!.fromConfig(made, {
      description: adapter.description,
      keys: [],
      version: VERSION,
    }) as AnyOptions | undefined;
    const again =
      read &&
      method.defaultTargets(
        adapter.description,
        // its own, as the method has just read it
        method.parseConfig(given(withoutTargets(read)) as never) as never,
      );
    const paths = read?.targets ?? again?.targets;
    const isSame =
      Array.isArray(paths) &&
      paths.length === sites.length &&
      sites.every(({ path }) => paths.includes(path));
    if (!isSame)
      throw new PeftError(
        'PEFT_FORMAT_UNSUPPORTED',
        `${method.name as string}: adapter-hub's config cannot say which ${sites.length} sites it takes.`,
        {
          hint: "leave targets, excludeModules and layersToTransform out, or save it in PEFT's layout",
        },
      );
  }
  return made;
}

function withoutTargets(options: object): object {
  const { targets: _, ...rest } = options as { targets?: unknown };
  return rest;
}

/**
 * Every module of a classification head, as the library has it: what lies outside the bare model
 * (DeBERTa's pooler, too).
 */
export function hubHeadModules({
  head,
  basePrefix,
  parameters,
  headModules,
}: ModelDescription): readonly string[] {
  if (!('outputs' in head) || head.kind === 'pooled-linear' || !basePrefix) return headModules;
  return [
    ...new Set(
      parameters.map(({ name }) => name.split('.')[0]!).filter((module) => module !== basePrefix),
    ),
  ];
}

const isMoreThan = (modules: readonly string[], known: readonly string[]): boolean =>
  modules.some((module) => !known.includes(module));

/** transformers' names for labels that have none. */
function labelsOf({ head }: ModelDescription): Record<string, number> | null {
  return 'outputs' in head
    ? Object.fromEntries(Array.from({ length: head.outputs }, (_, i) => [`LABEL_${i}`, i]))
    : null;
}
