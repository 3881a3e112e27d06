/** What third parties may bring to a predictor: methods, engines, model families. */
import type { Architecture, Module } from '@peft/core';
import type { NamedMethod } from '@peft/methods';
import { isEngineDefinition, type EngineDefinition } from '@peft/ops';
import { withArchitectures, withEngines, withMethods } from '../predictor-module.js';
import { importPlugins } from './import-plugins.js';

/** What plug-in modules export for a predictor. */
export interface PredictorPlugins {
  /** What `definePeftMethod` made. */
  readonly methods: readonly NamedMethod[];
  /** What `defineEngine` made: names that `engine` takes. */
  readonly engines: readonly EngineDefinition[];
  /** Model families, chosen by the `model_type` of config.json. */
  readonly architectures: readonly Architecture<never>[];
}

/** Whether a value is a method, an engine or a model family. */
export const isPredictorPlugin = (value: unknown): boolean =>
  isMethod(value) || isEngineDefinition(value) || isArchitecture(value);

/** The methods, engines and model families among values. */
export const sortPlugins = (values: readonly unknown[]): PredictorPlugins => ({
  methods: values.filter(isMethod),
  engines: values.filter(isEngineDefinition),
  architectures: values.filter(isArchitecture),
});

/** Composes a predictor that knows what plug-ins have beside ours. */
export const predictorPluginModules = ({
  methods,
  engines,
  architectures,
}: PredictorPlugins): readonly Module[] => [
  withMethods(...methods),
  withEngines(...engines),
  withArchitectures(...architectures),
];

/**
 * Modules for a predictor with what plug-ins export, for threads, which functions cannot cross to.
 * @throws what `importPlugins` throws
 */
export const loadPredictorPlugins = async (
  paths: readonly string[] = [],
): Promise<readonly Module[]> =>
  predictorPluginModules(
    sortPlugins(
      await importPlugins(paths, isPredictorPlugin, 'methods, engines and model families'),
    ),
  );

const isArchitecture = (value: unknown): value is Architecture<never> =>
  typeof value === 'object' && value !== null && 'modelTypes' in value && 'parseConfig' in value;

const isMethod = (value: unknown): value is NamedMethod =>
  typeof value === 'function' && 'attach' in value && 'parseConfig' in value;
