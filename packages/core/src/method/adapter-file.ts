/** Words of adapters' files that need to know no method: keys, configs, what a loaded file held. */

/** A parsed adapter_config.json. */
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
