/** An engine under its name, as an application or a plug-in makes it known. */
import type { EngineSizing } from './engine-sizing.js';
import type { Engine } from './engine.js';

/**
 * Open map of third parties' engine names, for options that are checked by the compiler: `declare
 * module '@peft/ops' { interface KnownEngines { mine: true } }`.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface KnownEngines {}

/** What an engine is asked for; one that cannot have it takes the nearest and says so. */
export interface EngineOptions {
  /** Precision of the products; default the engine's own. */
  readonly precision?: 'float32' | 'bfloat16';
  /** Threads on the CPU; default all cores. */
  readonly threads?: number;
}

/** Which of its forms an engine is sized in. */
export interface SizingOptions extends Pick<EngineOptions, 'precision'> {
  /** The model lies on a graphics card. */
  readonly isOnCard?: boolean;
}

/** How an engine is made. */
export interface EngineDefinition {
  /** What `env.engine` and `--engine` call it. */
  readonly name: string;
  /**
   * Makes the engine; whoever asked activates and disposes it.
   * @throws PEFT_CONFIG_INVALID for a bad option; anything else says that it cannot run here
   */
  create(options: EngineOptions): Promise<Engine>;
  /**
   * What the engine would hold in memory, without making it. Default: nobody knows, and runs on it
   * are not planned.
   */
  sizing?(options: SizingOptions): EngineSizing;
}

const MARK = Symbol.for('@peft/ops engine definition');

/**
 * Makes an engine known by name: exported by a plug-in, or given to `withEngines` of
 * `@peft/predictor`.
 * @param definition its name and how it is made
 * @returns the definition, frozen
 * @example
 *   export const mine = defineEngine({ name: 'mine', create: () => createMyEngine() });
 */
export const defineEngine = (definition: EngineDefinition): EngineDefinition =>
  Object.freeze({ ...definition, [MARK]: true });

/** Whether {@link defineEngine} made a value. */
export const isEngineDefinition = (value: unknown): value is EngineDefinition =>
  typeof value === 'object' && value !== null && MARK in value;
