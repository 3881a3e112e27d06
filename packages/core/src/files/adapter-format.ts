/**
 * The seam between adapters and the layouts of their files: how a config becomes a spec, and a
 * parameter a key.
 */
import type { Adapter, OwnedParameter } from '../adapter/adapter.js';
import type { ModelDescription } from '../description/model-description.js';
import type { MethodName, MethodSpec, PeftMethodDefinition } from '../method/peft-method.js';

/** Any method. */
export type AnyMethod = PeftMethodDefinition<MethodName>;
export type AdapterConfigJson = Readonly<Record<string, unknown>>;

/** What is said about an adapter beside its parameters. */
export interface AdapterAbout {
  /** Name or path of the base model. */
  readonly baseModel?: string;
  readonly revision?: string;
}

/** What a key of a file stands for. */
export type FileKey =
  | { readonly of: 'parameter'; readonly name: string }
  /**
   * A second copy of a trained parameter or of a base one, which is written again but never read.
   */
  | { readonly of: 'trained' | 'base'; readonly name: string }
  /** The same tensor under another name, which is neither read nor written again. */
  | { readonly of: 'repeat'; readonly name: string }
  | undefined;

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
  ): MethodSpec;
  /** adapter_config.json. */
  writeConfig(adapter: Adapter, about: AdapterAbout): Record<string, unknown>;
  /** Key of a parameter. */
  keyOf(adapter: Adapter, parameter: OwnedParameter): string;
  /** Key of a tensor that a method computes for the file (`fileTensors`). */
  keyOfTensor(adapter: Adapter, name: string): string;
  /**
   * The parameter that a key names (`savedAs` or `name`), whatever adapter it belongs to; undefined
   * for a key of no such form.
   */
  readKey(
    key: string,
    file: { readonly adapter: Adapter; readonly keys: readonly string[] },
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
    writeConfig(adapter: Adapter, about: AdapterAbout): Record<string, unknown>;
    /** Modules that it consists of. */
    modules(description: ModelDescription): readonly string[];
  };
  /** Trained parameters that the format stores a second time, by key. */
  trainedCopies?(adapter: Adapter): ReadonlyMap<string, string>;
  /** Base parameters that the format stores beside the adapter's own, by key. */
  baseCopies?(adapter: Adapter): ReadonlyMap<string, string>;
}
