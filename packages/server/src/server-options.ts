/** What a server is made with. */
import { check } from '@peft/errors';

/** What a server serves, where, and within which bounds. */
export interface ServerOptions {
  /**
   * Folder or hub id of a language model's checkpoint, or a folder that `fit` saved: a language
   * model, a classifier, a regressor, a tagger or an embedding model.
   */
  readonly model: string;
  /** The name that clients know the model by. Default: the last part of `model`. */
  readonly name?: string;
  /** Folders of adapters (PEFT's layout, or of `fit`) by the names that clients know them by. */
  readonly adapters?: Readonly<Record<string, string>>;
  /**
   * The folder that adapters may be loaded from at run time. Default: none, and loading is refused.
   */
  readonly adapterRoot?: string;
  /** What clients must send as `Authorization: Bearer …`; any of several. Default: anything goes. */
  readonly apiKeys?: readonly string[];
  readonly engine?: string;
  readonly precision?: string;
  readonly threads?: number;
  /** Name or file of a chat template instead of the checkpoint's own. */
  readonly chatTemplate?: string;
  /**
   * Modules (paths relative to the working folder, or names of packages) that export methods, engines
   * and model families of third parties; they are code, and run. Default: none.
   */
  readonly plugins?: readonly string[];
  /** Tokens of prompt and answer at most. Default: what the model bears. */
  readonly contextTokens?: number;
  /** New tokens of a text where the request names no number. Default 1,024. */
  readonly defaultNewTokens?: number;
  /** Texts that are made at once at most. Default 32. */
  readonly maxSequences?: number;
  /** Tokens that the key-value caches of all running texts hold at most. Default 65,536. */
  readonly maxCacheTokens?: number;
  /** Requests that wait at most; further ones get 503. Default 256. */
  readonly maxWaiting?: number;
  /** Tokens of a prompt that are read between two tokens of the others. Default 256. */
  readonly prefillTokens?: number;
  /**
   * Adapters that are loaded at once at most, those that the server starts with among them. Default
   * 64; further ones are refused until one is unloaded.
   */
  readonly maxAdapters?: number;
  /** Size of a request's body at most. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Texts of one request at most: prompts × `n`, or inputs. Default 256. */
  readonly maxTextsPerRequest?: number;
  /** Time that a connection has for the headers of a request. Default 10,000. */
  readonly headersTimeoutMs?: number;
  /** Time that a connection has for a whole request. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Ends the loading of the model. */
  readonly signal?: AbortSignal;
  /** Told of each request, a line of JSON; without texts unless `logTexts`. Default: nobody. */
  readonly log?: (line: string) => void;
  /** Prompts and answers go into the log. Default false. */
  readonly logTexts?: boolean;
}

export type ResolvedServerOptions = Required<
  Omit<
    ServerOptions,
    'adapterRoot' | 'engine' | 'precision' | 'threads' | 'chatTemplate' | 'contextTokens' | 'signal'
  >
> &
  Pick<
    ServerOptions,
    'adapterRoot' | 'engine' | 'precision' | 'threads' | 'chatTemplate' | 'contextTokens' | 'signal'
  >;

const DEFAULTS = Object.freeze({
  defaultNewTokens: 1024,
  maxSequences: 32,
  maxCacheTokens: 65_536,
  maxWaiting: 256,
  prefillTokens: 256,
  maxAdapters: 64,
  maxBodyBytes: 4 * 2 ** 20,
  maxTextsPerRequest: 256,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
});

const KEYS: readonly (keyof ServerOptions)[] = [
  ...(Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]),
  'model',
  'name',
  'adapters',
  'adapterRoot',
  'apiKeys',
  'engine',
  'precision',
  'threads',
  'chatTemplate',
  'plugins',
  'contextTokens',
  'signal',
  'log',
  'logTexts',
];

/** Checks options and fills in the defaults. @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function resolveServerOptions(options: ServerOptions): ResolvedServerOptions {
  check.knownKeys('server', options, KEYS);
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as ServerOptions; // the same object without keys that have no value
  const resolved: ResolvedServerOptions = {
    ...DEFAULTS,
    name: lastPart(options.model),
    adapters: {},
    apiKeys: [],
    plugins: [],
    log: () => undefined,
    logTexts: false,
    ...given,
  };
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[])
    check.positiveInteger('server', name, resolved[name]);
  if (resolved.contextTokens !== undefined)
    check.positiveInteger('server', 'contextTokens', resolved.contextTokens);
  return resolved;
}

const lastPart = (model: string): string =>
  model
    .replace(/[\\/]+$/, '')
    .split(/[\\/]/)
    .at(-1) || model;
