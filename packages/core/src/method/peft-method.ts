/**
 * The seam between methods and models. A method is a value: which kinds of sites it can attach to,
 * its options, a function per kind that makes what stands on one site, and the layout of its files.
 * It never sees an architecture. Methods, specs, adapters and formats name each other, so that
 * their types share this file.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { ModelDescription } from '../description/model-description.js';
import type { Site, SiteKind } from '../description/sites.js';
import type { CommonConfig, TargetSelection } from '../description/target-selection.js';
import type { AdapterAbout, AdapterConfigJson, AdapterSource, FileKey } from './adapter-file.js';
import type { AttachContext, OwnedParameter, SiteHandle } from './attach-context.js';
import type { AttachedSites, SiteAttachments } from './attachment.js';

/** Open map of method name → options; a method's package adds to it by declaration merging. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface PeftConfigs {}
/** The names of all methods in the program: packages add theirs to `PeftConfigs`. */
export type MethodName = Extract<keyof PeftConfigs, string>;

/**
 * `undefined`: nothing stands in the way of the forward pass (a bias was unfrozen, say). Written as
 * a method, so that every method is an `AnyMethod`, whatever its options.
 */
export type AttachFunction<K extends SiteKind, Config> = {
  attach(
    site: SiteHandle<K>,
    config: Config,
    context: AttachContext,
  ): SiteAttachments[K] | undefined;
}['attach'];

/** An option of a method as documentation shows it. */
export interface OptionLine {
  readonly name: string;
  readonly default: unknown;
  /** Its key in PEFT's config, where that has it. */
  readonly peft: string | undefined;
}

/** What a package says about its method; `definePeftMethod` makes it callable. */
export interface PeftMethodDefinition<Name extends MethodName> {
  readonly name: Name;
  /** `peft_type` in adapter_config.json, absent where PEFT has no such method. */
  readonly peftType?: string;
  readonly paper?: { readonly title: string; readonly url: string };
  /** What it computes, on one line: `y = base(x) + s·B·(A·x)`. */
  readonly formula?: string;
  /** Options to show it with, where it asks for some. */
  readonly exampleOptions?: Readonly<Record<string, unknown>>;
  /** Its own options, for documentation. */
  readonly options?: readonly OptionLine[];
  /**
   * Fills defaults, rejects bad values. Options common to all methods (targets …) were taken out
   * before.
   */
  parseConfig(input: Partial<PeftConfigs[Name]>): PeftConfigs[Name];
  /** Module names that it takes beside the targets (rows of an embedding that train with LoRA). */
  extraTargets?(config: PeftConfigs[Name], description: ModelDescription): readonly string[];
  /**
   * Which sites to take when the user names none; `optional`: that there are none is no error;
   * `lacks`: what was asked for and the model does not have, to be said.
   */
  defaultTargets(
    description: ModelDescription,
    config: PeftConfigs[Name],
  ): TargetSelection & { readonly optional?: boolean; readonly lacks?: readonly string[] };
  /**
   * The options that also train rows of embeddings and output layers whole: those of tokens that
   * were added to a vocabulary. Absent where the method trains no single rows.
   * @param rows ids by the path of the module
   */
  withRows?(
    config: PeftConfigs[Name],
    rows: Readonly<Record<string, readonly number[]>>,
    description: ModelDescription,
  ): PeftConfigs[Name];
  /**
   * Ranges of blocks `[first, behind the last]` that the model then consists of, one after the other;
   * undefined: as it is.
   */
  repeatsBlocks?(config: PeftConfigs[Name]): readonly (readonly [number, number])[] | undefined;
  /** Tasks that it learns side by side: several need the task of each sequence. Default 1. */
  tasks?(config: PeftConfigs[Name]): number;
  /** Whether these options start from training batches: `startFromData` is then there, too. */
  startsFromData?(config: PeftConfigs[Name]): boolean;
  /**
   * Chooses the start by training batches, before anything is attached.
   * @param call a `StartFromData`, which has the model and the batches
   */
  startFromData?(
    config: PeftConfigs[Name],
    call: StartCall,
  ): Promise<ChosenStart<PeftConfigs[Name]>>;
  /**
   * Whether these options have fixed parts that are made of the base's values when it attaches, and
   * that no file holds whole (PiSSA's base without its largest directions): what was trained is then
   * exact beside those very values alone, not beside others that they were rounded from. Default
   * never.
   */
  computesFromBase?(config: PeftConfigs[Name]): boolean;
  /** A function per kind of site that it can attach to. */
  readonly attach: { readonly [K in SiteKind]?: AttachFunction<K, PeftConfigs[Name]> };
  /**
   * Its options in adapter_config.json's words, without the common keys; and back, `folder` being
   * where that file lies. Present when `peftType` is.
   */
  toPeftConfig?(config: PeftConfigs[Name], context: PeftConfigContext): Record<string, unknown>;
  fromPeftConfig?(
    json: Readonly<Record<string, unknown>>,
    file?: AdapterShapes,
    folder?: string,
  ): Partial<PeftConfigs[Name]>;
  /**
   * Adapters that it consists of, each of which PEFT's layout keeps in a folder inside of its own.
   * `readAdapterFolder` reads one.
   */
  innerAdapters?(config: PeftConfigs[Name], context: PeftConfigContext): readonly InnerAdapter[];
  /**
   * How PEFT packs what the method makes for the experts of one parameter, by name after the site's
   * path; undefined where its config targets no such parameter. `rows`: one expert's rows below the
   * other's; `turns`: their columns take turns.
   */
  expertLayouts?(config: PeftConfigs[Name]): Readonly<Record<string, ExpertLayout>> | undefined;
  /**
   * Common options that PEFT's config of this method has. Default: `target_modules`,
   * `exclude_modules`, `modules_to_save`.
   */
  readonly peftCommonKeys?: readonly PeftCommonKey[];
  /** The layout of its files, where that is not PEFT's. */
  readonly format?: AdapterFormat;
  /** How it appears in adapter-hub's files, where that library has it. */
  readonly adapterHub?: AdapterHubMapping<PeftConfigs[Name]>;
  /**
   * PEFT's layout of the tensors' names: `tuner` (default) puts `base_model.model.` before all of
   * them; `prompt` writes the method's own bare (`prompt_embeddings`) and `base_model.` before a
   * head's.
   */
  readonly peftLayout?: 'tuner' | 'prompt';
  /**
   * What the file holds in place of the method's own parameters, by name in the file without
   * prefix, where that is computed from them (P-tuning saves what its encoder makes). The caller
   * disposes of the tensors. Undefined: the parameters as they are.
   */
  fileTensors?(
    config: PeftConfigs[Name],
    context: PeftConfigContext,
  ): Map<string, Tensor> | undefined;
}

/** Shapes of an adapter's tensors by key, where a config does not say all (BOFT's factors). */
export type AdapterShapes = ReadonlyMap<string, readonly number[]>;

/** An adapter of which another one is made. */
export interface InnerAdapter {
  /** Name of its folder. */
  readonly folder: string;
  /** It, without values. */
  readonly adapter: AdapterView;
  /** The outer adapter's parameter that has the values of one of its own. */
  owner(parameter: OwnedParameter): string;
}

/** Where the values of an expert stand in a tensor of all: see `expertLayouts`. */
export type ExpertLayout = 'rows' | 'turns';

/** What a start from data is handed: `StartFromData` says the rest. */
export interface StartCall {
  /** The part of the spec that asks. */
  readonly part: MethodPart;
}

/** Options that attach as a start chose them. */
export interface ChosenStart<Config> {
  readonly config: Config;
  /** Default: as they were. */
  readonly common?: CommonConfig;
}

/** A method in the words of the adapter-hub library. */
export interface AdapterHubMapping<Config> {
  /** Its part of adapter_config.json. */
  toConfig(config: Config, context: PeftConfigContext): Record<string, unknown>;
  /**
   * Back, with `targets` where the method has no default ones; undefined for a config of another
   * method.
   * @param file.version of the library
   */
  fromConfig(
    json: Readonly<Record<string, unknown>> | string,
    file: {
      readonly description: ModelDescription;
      readonly keys: readonly string[];
      readonly version: string;
    },
  ): (Partial<Config> & CommonConfig) | undefined;
  /**
   * Key of a parameter within the module that holds it, `*` standing for the adapter's name:
   * `loras.*.lora_A`.
   * @param name of the parameter after its site's path, or the whole name of a shared one.
   */
  key(name: string, config: Config): string;
}

/** The keys of PEFT's configs that say where a method stands. */
export type PeftCommonKey =
  | 'target_modules'
  | 'exclude_modules'
  | 'layers_to_transform'
  | 'layers_pattern'
  | 'modules_to_save'
  | 'ensure_weight_tying';

/** The common options of most of PEFT's methods. */
export const LAYERED_KEYS: readonly PeftCommonKey[] = Object.freeze([
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'layers_pattern',
  'modules_to_save',
]);

/** An attached method, as what writes its files sees it. */
export interface PeftConfigContext {
  readonly description: ModelDescription;
  /** Sites that it took. */
  readonly sites: readonly Site[];
  /** The adapter's parameters by name. */
  readonly parameters: ReadonlyMap<string, OwnedParameter>;
  /** What `AttachContext.shared` made, by name. */
  readonly shared: ReadonlyMap<string, unknown>;
}

/** Options of one method, checked, ready to be put on a model. */
export interface MethodPart {
  readonly method: PeftMethodDefinition<MethodName>;
  /**
   * What the method's own `parseConfig` gave. `never`, since it suits the functions of this part's
   * method and of no other: it can be handed to them as it is.
   */
  readonly config: never;
  readonly common: CommonConfig;
}
/**
 * One method with its options, or a combination of several; outermost last. `Kinds`: what it can
 * stand on.
 */
export interface MethodSpec<Kinds extends SiteKind = SiteKind> {
  readonly name: string;
  readonly parts: readonly MethodPart[];
  /** In types alone: kinds of sites that it can attach to. */
  readonly kinds?: Kinds;
}

/**
 * A spec that has something to stand on in a model with sites of the kinds `Has`; any other does
 * not compile.
 */
export type FittingSpec<Kinds extends SiteKind, Has extends SiteKind> = [
  Extract<Kinds, Has>,
] extends [never]
  ? { readonly 'the model has no site of the kinds that this method attaches to': Kinds }
  : MethodSpec<Kinds>;

/** A method: call it with options to get a spec for `model.addAdapter`. */
export interface PeftMethod<
  Name extends MethodName,
  Kinds extends SiteKind = SiteKind,
> extends PeftMethodDefinition<Name> {
  (config?: Partial<PeftConfigs[Name]> & CommonConfig): MethodSpec<Kinds>;
}

/** Any method, whatever its options. */
export type AnyMethod = PeftMethodDefinition<MethodName>;

/**
 * The sites that one part of a combination took, also those where nothing stands in the way of the
 * forward pass.
 */
export interface AttachedPart {
  readonly part: MethodPart;
  readonly sites: readonly Site[];
}

/** An adapter as its files see it. */
export interface AdapterView extends AttachedSites {
  readonly spec: MethodSpec;
  readonly description: ModelDescription;
  readonly parameters: ReadonlyMap<string, OwnedParameter>;
  /** One for each part of `spec`, in its order. */
  readonly parts: readonly AttachedPart[];
  /** State that the sites of a method share, by name. */
  readonly shared: ReadonlyMap<string, unknown>;
  /** Names under which a file holds a shared parameter once more → that parameter's name. */
  readonly repeats: ReadonlyMap<string, string>;
  /** Where it was loaded from, to be written again as it was. */
  readonly source: AdapterSource | undefined;
  /** The trained copy of a base parameter, if the adapter has one. */
  unfrozen(parameterName: string): OwnedParameter | undefined;
  /** Sites that carry something of it. */
  readonly wrappedSites: readonly Site[];
  /** Whether a module saved whole stays one with the output layer that reads its table. */
  readonly tiesWeights: boolean;
}

/** The layout of an adapter's files: how a config becomes a spec, and a parameter a key. */
export interface AdapterFormat {
  readonly name: string;
  /** Default `adapter_config.json`. */
  readonly configFile?: string;
  /** Options that Python must read as floating-point numbers: 4 is written 4.0. */
  readonly floatKeys?: readonly string[];
  /** Names of the weight file; the first is the one that is written. */
  readonly weightFiles: readonly string[];
  /** Whether an adapter_config.json is of this format. */
  recognises(config: AdapterConfigJson): boolean;
  /** What the file calls the adapter, where it says so. */
  adapterName?(config: AdapterConfigJson): string | undefined;
  /**
   * What to attach.
   * @param keys of the weight file.
   * @throws PEFT_METHOD_UNKNOWN when the methods at hand lack the file's
   */
  readSpec(
    config: AdapterConfigJson,
    methods: readonly AnyMethod[],
    description: ModelDescription,
    keys: readonly string[],
    shapes?: AdapterShapes,
    folder?: string,
  ): MethodSpec;
  /** adapter_config.json. */
  writeConfig(adapter: AdapterView, about: AdapterAbout): Record<string, unknown>;
  /** Key of a parameter. */
  keyOf(adapter: AdapterView, parameter: OwnedParameter): string;
  /** Key of a tensor that a method computes for the file (`fileTensors`). */
  keyOfTensor(adapter: AdapterView, name: string): string;
  /**
   * The parameter that a key names (`savedAs` or `name`), whatever adapter it belongs to; undefined
   * for a key of no such form.
   */
  readKey(
    key: string,
    file: { readonly adapter: AdapterView; readonly keys: readonly string[] },
  ): FileKey;
  /** Whether a key's matrix is the transpose of the parameter. Default: never. */
  isTransposed?(key: string): boolean;
  /**
   * Shape of a parameter in the file, where that has axes of length 1 besides. Default: its own.
   */
  fileShape?(key: string, shape: readonly number[]): readonly number[];
  /**
   * Its config says more than the adapter's options (a whole run's), which is no reason to warn.
   * Default false.
   */
  readonly hasOpenConfig?: boolean;
  /** The model's head in files of its own, which a folder may lack. Default: with the adapter. */
  readonly head?: {
    readonly weightFiles: readonly string[];
    readonly configFile: string;
    writeConfig(adapter: AdapterView, about: AdapterAbout): Record<string, unknown>;
    /** Modules that it consists of. */
    modules(description: ModelDescription): readonly string[];
  };
  /** Trained parameters that the format stores a second time, by key. */
  trainedCopies?(adapter: AdapterView): ReadonlyMap<string, string>;
  /** Base parameters that the format stores beside the adapter's own, by key. */
  baseCopies?(adapter: AdapterView): ReadonlyMap<string, string>;
}
