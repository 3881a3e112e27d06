/** From the name of a checkpoint to a model, with whatever engine and families are installed. */
import { didYouMean, PeftError } from '@peft/errors';
import { openCheckpoint, readModelConfig, resolveModel, type ResolveModelOptions } from '@peft/hub';
import { isEngineDefinition, type Engine, type EngineDefinition } from '@peft/ops';
import { architectureFor, type Architecture } from '../model/architecture.js';
import { loadModel, type ModelOptions } from '../model/load-model.js';
import type { Model } from '../model/model.js';
import {
  installedPackages,
  requireInstalled,
  type ImportPackage,
  type InstalledPackage,
} from './installed-packages.js';

/** How `openModel` finds checkpoint, engine and family. */
export interface OpenModelOptions extends ModelOptions {
  /**
   * An engine, or the name of an installed one. Default: the first that works here, of
   * `@peft/native`, `@peft/portable`, and what the program's package.json depends on.
   */
  readonly engine?: Engine | string;
  /** Model families beside those that are installed; they come first. */
  readonly architectures?: readonly Architecture<never>[];
  /** How a hub name is looked up and downloaded. */
  readonly download?: ResolveModelOptions;
  /** Imports a package by name. Default: as Node does. */
  readonly importPackage?: ImportPackage;
}

/**
 * Opens a checkpoint with the installed engine and model family. The caller disposes the model, and
 * `model.engine` where it was found here.
 *
 * @param name a folder, or a name on the hub (`org/model`, `org/model@revision`), which is
 *   downloaded where the cache lacks it.
 * @throws PEFT_PACKAGE_MISSING with the line to type when no engine or no model family is
 *   installed; PEFT_ENGINE_UNKNOWN for a name that no installed engine has; PEFT_ENGINE_UNAVAILABLE
 *   when none of them can run here; PEFT_MODEL_TYPE for a family that no installed package has;
 *   what `resolveModel` of `@peft/hub` and {@link loadModel} throw
 * @example
 * const model = await openModel('./model', { head: { kind: 'sequence-classification', outputs: 2 } });
 * model.addAdapter('topics', lora({ targets: ['query', 'value'] }));
 */
export async function openModel(name: string, options: OpenModelOptions = {}): Promise<Model> {
  const { engine: asked, architectures: given = [], download, importPackage, ...load } = options;
  const models = await installedPackages('models', importPackage);
  const engines =
    typeof asked === 'object' ? undefined : await installedPackages('engine', importPackage);
  requireInstalled({ engine: engines, models: given.length > 0 ? undefined : models });
  const folder = await resolveModel(name, download);
  const config = readModelConfig(folder);
  const architecture = architectureFor(config['model_type'], [
    ...given,
    ...models.flatMap(architecturesOf),
  ]);
  const { engine, warnings } =
    typeof asked === 'object'
      ? { engine: asked, warnings: [] }
      : await startEngine(engines!.flatMap(definitionsOf), asked);
  const store = openCheckpoint(folder);
  try {
    return loadModel(architecture, config, store, engine, {
      ...load,
      warnings: [...(load.warnings ?? []), ...warnings, ...(store.warnings ?? [])],
    });
  } catch (error) {
    if (typeof asked !== 'object') engine.dispose();
    throw error;
  } finally {
    store.close();
  }
}

/** The first that can be made and activated, and what kept those before it. */
async function startEngine(
  definitions: readonly EngineDefinition[],
  asked: string | undefined,
): Promise<{ readonly engine: Engine; readonly warnings: readonly string[] }> {
  const chosen = definitions.filter(({ name }) => asked === undefined || name === asked);
  if (chosen.length === 0) {
    const names = definitions.map(({ name }) => name);
    throw new PeftError(
      'PEFT_ENGINE_UNKNOWN',
      `core: no engine ${JSON.stringify(asked)} is installed.`,
      { hint: `${didYouMean(asked!, names)} Installed: ${names.join(', ')}.`.trim() },
    );
  }
  const problems: string[] = [];
  for (const definition of chosen) {
    let engine: Engine | undefined;
    try {
      engine = await definition.create({});
      await engine.activate();
      const warnings = problems.map(
        (problem) => `the ${definition.name} engine takes over: ${problem}`,
      );
      return { engine, warnings };
    } catch (error) {
      engine?.dispose();
      problems.push(`${definition.name} cannot run here: ${(error as Error).message}`);
    }
  }
  throw new PeftError('PEFT_ENGINE_UNAVAILABLE', `core: ${problems.join('; ')}`, {
    hint: 'npm i @peft/portable brings the engine that runs wherever TensorFlow.js does',
  });
}

const definitionsOf = ({ exports }: InstalledPackage): readonly EngineDefinition[] =>
  exports.filter(isEngineDefinition);

const isArchitecture = (value: unknown): value is Architecture<never> =>
  typeof value === 'object' && value !== null && 'modelTypes' in value && 'parseConfig' in value;

const architecturesOf = ({ exports }: InstalledPackage): readonly Architecture<never>[] =>
  exports.filter(isArchitecture);
