/**
 * One adapter: a method's parameters and what it put on each site, on a model or on a bare
 * description.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs';
import { didYouMean, PeftError } from '@peft/errors';
import { embed, freezeTensor, linear, randomKey, type FrozenWeight, type Weight } from '@peft/ops';
import type { Initializer } from '../method/initializers.js';
import { parameterSites, siteAt, type ModelDescription } from '../description/model-description.js';
import type {
  AdapterParameter,
  AttachContext,
  MethodPart,
  MethodSpec,
  ParameterOptions,
  SiteAdapters,
  SiteHandle,
  StepCall,
  StepMemory,
  UnfreezeOptions,
} from '../method/peft-method.js';
import type { Site, SiteKind } from '../description/sites.js';
import { selectSites, type TargetSelection } from '../description/target-selection.js';
import { tiedEmbeddings, untiedEmbedding } from '../description/tied-embeddings.js';
import { tiedOutputs, untiedOutput } from '../model/tied-output.js';

/** Base tensors as an adapter needs them while it attaches. */
export interface WeightHost {
  /** float32 copy of a base parameter in its logical shape; the caller disposes. */
  readBase(parameterName: string): Tensor;
  /** A base matrix or vector itself, owned by the model. */
  matrix(parameterName: string): Weight;
  vector(parameterName: string): Tensor;
  /** Makes a frozen weight of the engine from a matrix; disposes `weight`. */
  freezeMatrix(parameterName: string, weight: Tensor2D): FrozenWeight;
}

/** A parameter with its place on disk. */
export interface OwnedParameter extends AdapterParameter {
  readonly trainable: boolean;
  readonly saved: boolean;
  /** `new`: made by the method. `unfrozen`: a copy of the base parameter of the same name. */
  readonly origin: 'new' | 'unfrozen';
  /**
   * The method that asked for it, `modulesToSave`, or `file` for one that a loaded file brought
   * along.
   */
  readonly method: string;
  /** The site it belongs to. */
  readonly site?: Site;
  /** Its path in the file, where that is not `name`. */
  readonly savedAs?: string;
  /** Whether its values are other than those it was made with. */
  hasChanged(): boolean;
  dispose(): void;
}

export interface Attachment<K extends SiteKind = SiteKind> {
  readonly site: Site;
  readonly method: string;
  readonly adapter: SiteAdapters[K];
}

/**
 * The sites that one part of a combination took, also those where nothing stands in the way of the
 * forward pass.
 */
export interface AttachedPart {
  readonly part: MethodPart;
  readonly sites: readonly Site[];
}

export interface AttachOptions {
  /** Seed of the initialisers. Default 0. */
  readonly seed?: number;
  /**
   * Every pattern of the targets must match, and every module to save must exist. Default true; a
   * foreign file need not.
   */
  readonly strict?: boolean;
  /** Base parameters to unfreeze beside what the methods ask for (`ia3_bias` as a file has it). */
  readonly alsoUnfreeze?: readonly string[];
}

/** What a loaded file holds beside parameters. */
export interface AdapterSource {
  /** Name of the file's format. */
  readonly format: string;
  /** Its adapter_config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Keys that repeat a trained parameter, or a base one, under another name. */
  readonly copies: ReadonlyMap<
    string,
    { readonly of: 'trained' | 'base'; readonly parameter: string }
  >;
}

export class Adapter {
  readonly parameters = new Map<string, OwnedParameter>();
  /** What stands on a site: `<kind> <path>` → outermost last. */
  readonly attachments = new Map<string, Attachment[]>();
  /** Base weights that a method changed (PiSSA), by parameter name. */
  readonly replaced = new Map<string, FrozenWeight>();
  /** To be run after each optimiser step. */
  readonly stepHooks: ((call: StepCall) => void)[] = [];
  /** What the hooks remember between steps. */
  readonly stepMemories: StepMemory[] = [];
  /** Each added to the loss of a step. */
  readonly extraLosses: (() => Tensor)[] = [];
  /** One for each part of `spec`, in its order. */
  readonly parts: AttachedPart[] = [];
  /** State that the sites of a method share, by name. */
  readonly shared = new Map<string, unknown>();
  /** Its parameters take part in training. */
  isTrainable = true;
  /** Where it was loaded from, to be written again as it was. */
  source: AdapterSource | undefined;

  constructor(
    readonly name: string,
    readonly spec: MethodSpec,
    readonly description: ModelDescription,
  ) {}

  /** Adapters on a site, innermost first. */
  at<K extends SiteKind>(kind: K, path: string): readonly Attachment<K>[] {
    return (this.attachments.get(`${kind} ${path}`) ?? []) as Attachment<K>[];
  }

  /** The trained copy of a base parameter, if the adapter has one. */
  unfrozen(parameterName: string): OwnedParameter | undefined {
    const found = this.parameters.get(parameterName);
    return found?.origin === 'unfrozen' ? found : undefined;
  }

  /** Whether a module saved whole stays one with the output layer that reads its table. */
  get tiesWeights(): boolean {
    return this.spec.parts.some(({ common }) => common.ensureWeightTying === true);
  }

  /**
   * Whether the trained copy of an embedding's table leaves the output layer and the embeddings
   * that read it as they were.
   */
  isEmbeddingOnly(parameterName: string): boolean {
    const readers = [
      ...tiedOutputs(this.description).map(({ output }) => output),
      ...tiedEmbeddings(this.description).map(({ reader }) => reader),
    ];
    return (
      this.unfrozen(parameterName)?.method === MODULES_TO_SAVE &&
      !this.tiesWeights &&
      readers.some(({ weight }) => weight === parameterName)
    );
  }

  /** Sites that carry something of this adapter. */
  get wrappedSites(): Site[] {
    return [...new Set([...this.attachments.values()].flat().map(({ site }) => site))];
  }

  dispose(): void {
    for (const parameter of this.parameters.values()) parameter.dispose();
    for (const weight of this.replaced.values()) weight.dispose();
    this.parameters.clear();
    this.attachments.clear();
    this.replaced.clear();
  }
}

/**
 * Puts a method on a model, or on a bare description (`host` undefined) to learn its sites and
 * counts. On failure nothing is left behind.
 *
 * @throws PEFT_TARGET_NOT_FOUND, PEFT_METHOD_UNSUPPORTED, and what the method's attach functions
 *   throw.
 */
export function attachAdapter(
  name: string,
  spec: MethodSpec,
  description: ModelDescription,
  host: WeightHost | undefined,
  options: AttachOptions = {},
): Adapter {
  const adapter = new Adapter(name, spec, description);
  try {
    for (const part of spec.parts) attachPart(adapter, part, host, options);
    for (const parameter of modulesToSave(spec, description, options.strict ?? true))
      unfreeze(adapter, host, parameter, MODULES_TO_SAVE);
    saveTiedOutputs(adapter, host);
    saveTiedEmbeddings(adapter, host);
    if (options.strict ?? true) refuseUnread(adapter);
    for (const parameter of options.alsoUnfreeze ?? []) unfreeze(adapter, host, parameter, 'file');
    return adapter;
  } catch (error) {
    adapter.dispose();
    throw error;
  }
}

/** The `method` of parameters that `modulesToSave` asked for. */
const MODULES_TO_SAVE = 'modulesToSave';

/**
 * An output layer among the modules to save that reads an embedding's table gets a weight of its
 * own, or trains that table.
 */
function saveTiedOutputs(adapter: Adapter, host: WeightHost | undefined): void {
  const { spec, description } = adapter;
  const modules = savedModules(spec, description);
  for (const { output, embedding } of tiedOutputs(description)) {
    if (
      adapter.tiesWeights &&
      adapter
        .at('embedding', embedding.path)
        .some(({ adapter: attached }) => !attached.forwardOutput)
    ) {
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `ensureWeightTying: what stands on ${embedding.path} does not go on to ${output.path}.`,
        { hint: 'it goes with modulesToSave and token rows' },
      );
    }
    if (!isSaved(`${output.path}.weight`, modules)) continue;
    if (adapter.tiesWeights) {
      unfreeze(adapter, host, output.weight, MODULES_TO_SAVE);
      continue;
    }
    const name = `${output.path}.weight`;
    const parameter = ownParameter(
      name,
      [output.outFeatures, output.inFeatures],
      () => baseValues(host!, output.weight),
      host,
      { method: MODULES_TO_SAVE, origin: 'new', site: output },
    );
    adapter.parameters.set(name, parameter);
    adapter.attachments.set(`linear ${output.path}`, [
      { site: output, method: MODULES_TO_SAVE, adapter: untiedOutput(() => parameter.value) },
    ]);
  }
}

/**
 * An embedding among the modules to save that reads another one's table gets a table of its own, or
 * trains that one.
 */
function saveTiedEmbeddings(adapter: Adapter, host: WeightHost | undefined): void {
  const { spec, description } = adapter;
  const modules = savedModules(spec, description);
  for (const { reader, embedding } of tiedEmbeddings(description)) {
    const name = `${reader.path}.weight`;
    if (adapter.tiesWeights && adapter.at('embedding', reader.path).length > 0) {
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `ensureWeightTying: what stands on ${reader.path} does not go on to all that read the table of ${embedding.path}.`,
        { hint: 'it goes with modulesToSave and token rows' },
      );
    }
    if (!isSaved(name, modules)) continue;
    if (adapter.tiesWeights) {
      unfreeze(adapter, host, reader.weight, MODULES_TO_SAVE);
      continue;
    }
    const parameter = ownParameter(
      name,
      [reader.rows, reader.size],
      () => baseValues(host!, reader.weight),
      host,
      { method: MODULES_TO_SAVE, origin: 'new', site: reader },
    );
    adapter.parameters.set(name, parameter);
    adapter.attachments.set(`embedding ${reader.path}`, [
      { site: reader, method: MODULES_TO_SAVE, adapter: untiedEmbedding(() => parameter.value) },
    ]);
  }
}

/**
 * A module that only holds a table for others, which what is attached to it never reaches, would
 * train nothing.
 */
function refuseUnread(adapter: Adapter): void {
  const tied = tiedEmbeddings(adapter.description);
  for (const { embedding } of tied) {
    const unread =
      adapter
        .at('embedding', embedding.path)
        .find(({ adapter: attached }) => !attached.forwardOutput)?.method ??
      (adapter.isEmbeddingOnly(embedding.weight) ? MODULES_TO_SAVE : undefined);
    if (unread === undefined) continue;
    const readers = tied.flatMap(({ reader, embedding: { path } }) =>
      path === embedding.path ? [reader.path] : [],
    );
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `${unread}: ${embedding.path} only holds the table that ${readers.join(' and ')} ${readers.length > 1 ? 'read' : 'reads'}; what stands there changes nothing.`,
      { hint: `name ${readers.join(' or ')} instead` },
    );
  }
}

function attachPart(
  adapter: Adapter,
  part: MethodPart,
  host: WeightHost | undefined,
  options: AttachOptions,
): void {
  const { method, config } = part;
  const sites = sitesOf(adapter, part, options.strict ?? true);
  adapter.parts.push({ part, sites });
  for (const site of sites) {
    const attach = method.attach[site.kind] as
      | ((
          site: SiteHandle<SiteKind>,
          config: unknown,
          context: AttachContext,
        ) => SiteAdapters[SiteKind])
      | undefined;
    const context = createContext(adapter, part, sites, site, host, options.seed ?? 0);
    const made = attach?.(withWeights(site, adapter, host), config, context);
    if (made === undefined) continue;
    const key = `${site.kind} ${site.path}`;
    adapter.attachments.set(key, [
      ...(adapter.attachments.get(key) ?? []),
      { site, method: method.name, adapter: made },
    ]);
  }
}

/**
 * The sites that a part takes: its targets or the method's default ones, and what it takes beside
 * them.
 */
function sitesOf(
  { spec, description }: Adapter,
  { method, config, common }: MethodPart,
  strict: boolean,
): readonly Site[] {
  const kinds = Object.keys(method.attach) as SiteKind[];
  const candidates = [
    ...description.sites,
    ...(kinds.includes('parameter') ? parameterSites(description) : []),
  ];
  const isDefault = common.targets === undefined;
  const { optional = false, ...defaults } = isDefault
    ? method.defaultTargets(description, config as never)
    : {};
  const select = (selection: TargetSelection, isStrict: boolean): readonly Site[] =>
    Array.isArray(selection.targets) && selection.targets.length === 0
      ? []
      : selectSites({ ...description, sites: candidates }, selection, {
          owner: method.name,
          kinds,
          modulesToSave: savedModules(spec, description),
          strict: isStrict,
          optional,
        });
  const chosen = new Set([
    ...select({ ...defaults, ...common }, strict && !isDefault),
    ...select({ targets: method.extraTargets?.(config as never, description) ?? [] }, strict),
  ]);
  if (chosen.size === 0 && !optional) {
    throw new PeftError(
      'PEFT_METHOD_UNSUPPORTED',
      `${method.name}: ${description.modelType} has no ${kinds.join(' or ')} site to attach to.`,
      {
        hint: 'choose another method, or name targets; peft inspect MODEL --sites lists what the model has',
      },
    );
  }
  return candidates.filter((site) => chosen.has(site));
}

function createContext(
  adapter: Adapter,
  part: MethodPart,
  sites: readonly Site[],
  site: Site,
  host: WeightHost | undefined,
  seed: number,
): AttachContext {
  const method = part.method.name;
  const key = (purpose: string) => randomKey(seed, adapter.name, method, site.path, purpose);
  const create = (
    name: string,
    shape: readonly number[],
    init: Initializer,
    options: ParameterOptions,
    owner: Site | undefined,
  ): OwnedParameter => {
    if (adapter.parameters.has(name))
      throw new PeftError(
        'PEFT_PARAMETER_TWICE',
        `${method}: the parameter "${name}" exists already in adapter "${adapter.name}".`,
        { hint: 'two methods of one adapter claim the same name on disk' },
      );
    const made = ownParameter(
      name,
      shape,
      () => init(shape, owner ? key(name) : randomKey(seed, adapter.name, method, name)),
      host,
      { ...options, method, origin: 'new', site: owner },
    );
    adapter.parameters.set(name, made);
    return made;
  };
  return {
    description: adapter.description,
    sites,
    shared: <T>(name: string, make: () => T): T => {
      if (!adapter.shared.has(name)) adapter.shared.set(name, make());
      return adapter.shared.get(name) as T;
    },
    param: (name, shape, init, options = {}) =>
      create(site.path ? `${site.path}.${name}` : name, shape, init, options, site),
    sharedParam: (name, shape, init, options = {}) =>
      adapter.parameters.get(name) ?? create(name, shape, init, options, undefined),
    unfreeze: (parameterName, options) =>
      unfreeze(adapter, host, parameterName, method, site, options),
    replaceWeight: (change) => {
      if (!host || site.kind !== 'linear') return;
      const changed = tf.tidy(() =>
        change(
          (adapter.replaced.get(site.weight)
            ? dequantize(adapter.replaced.get(site.weight)!)
            : host.readBase(site.weight)) as Tensor2D,
        ),
      );
      adapter.replaced.get(site.weight)?.dispose();
      adapter.replaced.set(site.weight, host.freezeMatrix(site.weight, changed));
    },
    onStep: (hook, memory) => {
      adapter.stepHooks.push(hook);
      if (memory) adapter.stepMemories.push(memory);
    },
    extraLoss: (term) => void adapter.extraLosses.push(term),
    randomKey: key,
  };
}

const dequantize = (weight: FrozenWeight): Tensor => weight.engine.dequantize(weight);

function withWeights(
  site: Site,
  adapter: Adapter,
  host: WeightHost | undefined,
): SiteHandle<SiteKind> {
  const needHost = (): WeightHost => host ?? noWeights(site.path);
  return {
    ...site,
    dequantizedWeight: () => {
      if (site.kind !== 'linear' && site.kind !== 'embedding')
        throw new PeftError(
          'PEFT_SITE_KIND',
          `${site.path}: a ${site.kind} site has no weight matrix.`,
        );
      const replaced = adapter.replaced.get(site.weight);
      return (replaced ? dequantize(replaced) : needHost().readBase(site.weight)) as Tensor2D;
    },
    biasInForce: () => {
      if (!('bias' in site) || typeof site.bias !== 'string') return undefined;
      return (adapter.unfrozen(site.bias)?.value ?? needHost().vector(site.bias)) as Tensor1D;
    },
    baseRows: (ids) => {
      if (site.kind !== 'embedding' && site.kind !== 'sequence')
        throw new PeftError('PEFT_SITE_KIND', `${site.path}: a ${site.kind} site has no rows.`);
      const table =
        site.kind === 'embedding' ? site : siteAt(adapter.description, 'embedding', site.embedding);
      return embed(needHost().matrix(table.weight), ids);
    },
    product: (x) => {
      if (site.kind !== 'linear')
        throw new PeftError(
          'PEFT_SITE_KIND',
          `${site.path}: a ${site.kind} site has no weight to multiply with.`,
        );
      return linear(x, adapter.replaced.get(site.weight) ?? needHost().matrix(site.weight));
    },
  };
}

function unfreeze(
  adapter: Adapter,
  host: WeightHost | undefined,
  parameterName: string,
  method: string,
  site?: Site,
  options: UnfreezeOptions = {},
): OwnedParameter {
  const savedAs =
    options.savedAs === undefined || !site ? undefined : `${site.path}.${options.savedAs}`;
  const existing = adapter.parameters.get(parameterName);
  if (existing) {
    if (savedAs !== undefined && existing.savedAs === undefined)
      Object.assign(existing, { savedAs });
    return existing;
  }
  const spec = adapter.description.parameters.find(({ name }) => name === parameterName);
  if (!spec)
    throw new PeftError(
      'PEFT_PARAMETER_UNKNOWN',
      `${method}: ${adapter.description.modelType} has no parameter "${parameterName}".`,
    );
  const made = ownParameter(
    parameterName,
    spec.shape,
    () => baseValues(host!, parameterName),
    host,
    { method, origin: 'unfrozen', site, trainable: options.trainable ?? true, savedAs },
  );
  adapter.parameters.set(parameterName, made);
  return made;
}

/** A copy of a base tensor, made once, while attaching. */
function baseValues(host: WeightHost, parameterName: string): Float32Array {
  const base = host.readBase(parameterName);
  const values = Float32Array.from(base.dataSync());
  base.dispose();
  return values;
}

let nextVariable = 0;

function ownParameter(
  name: string,
  shape: readonly number[],
  fill: () => Float32Array,
  host: WeightHost | undefined,
  options: ParameterOptions &
    Pick<OwnedParameter, 'method' | 'origin'> & {
      site: Site | undefined;
      savedAs?: string | undefined;
    },
): OwnedParameter {
  let variable: Variable | undefined;
  let start = 0;
  if (host) {
    const values = fill();
    start = fingerprint(values);
    const initial = tf.tensor(values, [...shape], 'float32');
    variable = tf.variable(
      initial,
      options.trainable ?? true,
      `peft/${(nextVariable += 1)}/${name}`,
      'float32',
    );
    if (options.trainable === false) freezeTensor(variable);
    initial.dispose();
  }
  return {
    name,
    shape,
    method: options.method,
    origin: options.origin,
    trainable: options.trainable ?? true,
    saved: options.saved ?? true,
    ...(options.site && { site: options.site }),
    ...(options.savedAs !== undefined && { savedAs: options.savedAs }),
    get value() {
      return variable ?? noWeights(name);
    },
    hasChanged: () =>
      variable !== undefined && fingerprint(variable.dataSync() as Float32Array) !== start,
    dispose: () => {
      variable?.dispose();
      variable = undefined;
    },
  };
}

/** FNV-1a of the values' bits. */
function fingerprint(values: Float32Array): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let hash = 0x811c9dc5;
  for (let i = 0; i < bits.length; i += 1) hash = Math.imul(hash ^ bits[i]!, 0x01000193);
  return hash;
}

function noWeights(name: string): never {
  throw new PeftError(
    'PEFT_MODEL_WITHOUT_WEIGHTS',
    `${name}: its value was asked for on a description without weights.`,
    { hint: 'load the model first' },
  );
}

/**
 * What `modulesToSave` names together with the head's modules, as PEFT adds them; an empty list
 * means none at all.
 */
export function savedModules(spec: MethodSpec, description: ModelDescription): readonly string[] {
  const asked = spec.parts
    .map(({ common }) => common.modulesToSave)
    .filter((modules) => modules !== undefined);
  if (asked.some((modules) => modules.length === 0)) return [];
  return [...new Set([...asked.flat(), ...description.headModules])];
}

function modulesToSave(spec: MethodSpec, description: ModelDescription, strict: boolean): string[] {
  const modules = savedModules(spec, description);
  for (const module of strict ? modules : []) {
    if (
      !description.parameters.some(({ name }) => isSaved(name, [module])) &&
      !description.headModules.includes(module) &&
      ![
        ...tiedOutputs(description).map(({ output }) => output),
        ...tiedEmbeddings(description).map(({ reader }) => reader),
      ].some(({ path }) => isSaved(`${path}.weight`, [module]))
    ) {
      throw new PeftError(
        'PEFT_TARGET_NOT_FOUND',
        `modulesToSave: no module "${module}" in ${description.modelType}.`,
        {
          hint: `${didYouMean(module, moduleNames(description))} List the modules with: peft inspect MODEL --sites`.trim(),
        },
      );
    }
  }
  return description.parameters
    .filter(({ name }) => isSaved(name, modules))
    .map(({ name }) => name);
}

/**
 * PEFT's rule: a module whose path ends with the name, also within a word (`classifier` takes
 * `pre_classifier`).
 */
function isSaved(parameterName: string, modules: readonly string[]): boolean {
  const words = parameterName.split('.').slice(0, -1);
  return words.some((_, i) =>
    modules.some((module) =>
      words
        .slice(0, i + 1)
        .join('.')
        .endsWith(module),
    ),
  );
}

const moduleNames = (description: ModelDescription): Set<string> =>
  new Set(
    description.parameters.flatMap(({ name }) =>
      name
        .split('.')
        .slice(0, -1)
        .filter((word) => !/^\d+$/.test(word)),
    ),
  );
