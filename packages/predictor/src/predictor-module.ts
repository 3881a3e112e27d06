/**
 * What a predictor is composed of, each part replaceable: `new PeftPredictor({ label, modules:
 * [(bind) => bind(CLOCK, () => mine)] })`.
 */
import {
  createTrainEventBus,
  override,
  SINGLE_RANK,
  token,
  type AnyMethod,
  type Architecture,
  type MethodSpec,
  type Module,
  type StageRanks,
} from '@peft/core';
import { METRICS, type Metric } from '@peft/data';
import { resolveModel, type ResolveModelOptions } from '@peft/hub';
import { machineMemory, type MachineMemory } from '@peft/memory-plan';
import {
  allMethods,
  autogluonMethod,
  isAutogluonMethod,
  methodNamed,
  type AutogluonMethodOptions,
} from '@peft/methods';
import { architectures } from '@peft/models';
import type { EngineDefinition } from '@peft/ops';
import {
  CLOCK,
  COLLECTIVE,
  EVENT_BUS,
  folderCheckpointStore,
  memoryCheckpointStore,
  systemClock,
  train,
  TRAINER,
  type CheckpointStore,
  type Trainer,
} from '@peft/trainer';
import {
  chooseEngine,
  ENGINE_MAKERS,
  type EngineChoice,
  type EngineMakers,
  type EngineRequest,
} from './engine/engine-choice.js';
import { usesAutogluonLayers, type TaskName } from './tasks/task-names.js';

/** Model families that a checkpoint may be of. */
export const ARCHITECTURES = token<readonly Architecture<never>[]>('the architectures');
/** What a value of `optim.peft` stands for; null is full fine-tuning. */
export const NAMED_METHOD =
  token<(value: string | null, options: AutogluonMethodOptions, task?: TaskName) => MethodSpec>(
    'the methods by name',
  );
/** Methods that a saved adapter may name. */
export const ADAPTER_METHODS = token<readonly AnyMethod[]>('the methods of saved adapters');
/** Metrics that may be named. */
export const PREDICTOR_METRICS = token<readonly Metric[]>('the metrics');
/** How engines are made, by the names that `env.engine` takes. */
export const ENGINES = token<EngineMakers>('the engines');
/** Makes and activates an engine, which the predictor disposes. */
export const ENGINE_CHOOSER = token<(request: EngineRequest) => Promise<EngineChoice>>(
  'the choice of the engine',
);
/** From a folder or hub id to a folder. */
export const MODEL_RESOLVER =
  token<(name: string, options: ResolveModelOptions) => Promise<string>>('the resolver of models');
/** What the machine has, and what of it is free. */
export const MACHINE_MEMORY = token<() => MachineMemory>('the memory of the machine');
/**
 * Into how many stages models are cut, which as many neighbouring ranks hold, and how wide the
 * numbers are that go from one to the next.
 */
export const PIPELINE = token<Pick<StageRanks, 'stages' | 'bits'>>('the pipeline');
/**
 * Whether ranks share the frozen matrices of a model's blocks, and gather a block while it computes.
 */
export const SHARDED_BASE = token<boolean>('whether the base is shared among ranks');
/** Where a run's checkpoints go; without a folder, memory. */
export const CHECKPOINT_STORES =
  token<(folder: string | undefined) => CheckpointStore>('the checkpoint stores');

/**
 * A module that makes further methods known to saved predictors: `new PeftPredictor({ label,
 * modules: [withMethods(ssf)] })`.
 */
export const withMethods = (...methods: readonly AnyMethod[]): Module =>
  override((bind) => bind(ADAPTER_METHODS, () => [...methods, ...allMethods]));

/**
 * A module that makes further engines known, whose names `env.engine` then takes: `modules:
 * [withEngines(mine)]`.
 * @param engines what `defineEngine` of `@peft/ops` made; each is created when it is asked for
 */
export const withEngines = (...engines: readonly EngineDefinition[]): Module =>
  override((bind) =>
    bind(ENGINES, () => ({
      ...ENGINE_MAKERS,
      ...Object.fromEntries(
        engines.map((engine) => [
          engine.name,
          ({ precision, threads }: EngineRequest) => engine.create({ precision, threads }),
        ]),
      ),
    })),
  );

/**
 * A module that makes further model families known: `modules: [withArchitectures(myBert)]`.
 * @param families each is chosen by the `model_type` of config.json, before ours
 */
export const withArchitectures = (...families: readonly AnyArchitecture[]): Module =>
  override((bind) =>
    bind(ARCHITECTURES, () => [
      // a config goes from a family's own parseConfig to its own functions alone
      ...(families as readonly Architecture<never>[]),
      ...architectures,
    ]),
  );

/** A family, whatever its config is. */
export type AnyArchitecture = Pick<Architecture<unknown>, 'family' | 'modelTypes' | 'heads'>;

/**
 * AutoGluon's layers fit encoders alone: language models and embeddings take PEFT's, unless a
 * filter is given.
 */
function methodOfSettings(
  value: string | null,
  { filter, moduleFilter, familyTargets, ...sizes }: AutogluonMethodOptions,
  task: TaskName | undefined,
): MethodSpec {
  if (value === null) return methodNamed('full');
  const isAsAutogluon = usesAutogluonLayers(task) || filter || moduleFilter;
  if (isAutogluonMethod(value) && (isAsAutogluon || !(value === 'lora' || value === 'ia3')))
    return autogluonMethod(value, { filter, moduleFilter, familyTargets, ...sizes });
  return methodNamed(value, value === 'ia3' ? {} : givenOf(sizes));
}

const givenOf = (options: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/**
 * Binds the tokens above and the trainer's {@link EVENT_BUS}, {@link CLOCK}, {@link COLLECTIVE} and
 * {@link TRAINER}.
 */
export function predictorModule(onListenerError?: (error: unknown) => void): Module {
  return (bind) => {
    bind(ARCHITECTURES, () => architectures);
    bind(NAMED_METHOD, () => methodOfSettings);
    bind(ADAPTER_METHODS, () => allMethods);
    bind(PREDICTOR_METRICS, () => METRICS);
    bind(ENGINES, () => ENGINE_MAKERS);
    bind(
      ENGINE_CHOOSER,
      ({ get }) =>
        (request) =>
          chooseEngine(request, get(ENGINES)),
    );
    bind(MODEL_RESOLVER, () => resolveModel);
    bind(MACHINE_MEMORY, () => machineMemory);
    bind(
      CHECKPOINT_STORES,
      () => (folder) =>
        folder === undefined ? memoryCheckpointStore() : folderCheckpointStore(folder),
    );
    bind(EVENT_BUS, () => createTrainEventBus(onListenerError));
    bind(CLOCK, () => systemClock);
    bind(COLLECTIVE, () => SINGLE_RANK);
    bind(PIPELINE, () => ({ stages: 1, bits: 32 }) as const);
    bind(SHARDED_BASE, () => false);
    bind(
      TRAINER,
      ({ get }): Trainer =>
        (request) =>
          train({
            bus: get(EVENT_BUS),
            clock: get(CLOCK),
            collective: get(COLLECTIVE),
            ...request,
          }),
    );
  };
}
