/** Where a run starts: a fresh adapter, or one that was trained before. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadAdapter, type App, type MethodSpec, type Model } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { ADAPTER_FOLDER, RECORD_FILE } from '../folder/predictor-folder.js';
import type { EventBody } from '../model/base-model.js';
import { ADAPTER } from '../model/predictor-state.js';
import { ADAPTER_METHODS } from '../predictor-module.js';
import type { FitOptions } from '../settings/predictor-types.js';

/**
 * Refuses options that contradict each other.
 * @throws PEFT_CONFIG_INVALID when both a method and an adapter are given
 */
export function checkStart({ adapter, method }: FitOptions): void {
  if (adapter === undefined) return;
  check.string('fit', 'adapter', adapter);
  if (method !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'fit: adapter and method are both given, and the adapter is of the method that its file names.',
      { hint: 'leave one of them out' },
    );
}

/**
 * Puts the adapter that is to train on the model.
 * @param spec of a fresh adapter
 * @param folder of an adapter to go on from, ours, PEFT's or adapter-hub's, or of a predictor
 * @returns the name of its method
 * @throws what loading an adapter throws
 */
export async function startAdapter(
  model: Model,
  {
    spec,
    folder,
    seed,
  }: {
    readonly spec: MethodSpec;
    readonly folder: string | undefined;
    readonly seed: number;
  },
  app: App,
  emit: (event: EventBody) => void,
): Promise<string> {
  if (folder === undefined) {
    model.addAdapter(ADAPTER, spec, { seed });
    return spec.name;
  }
  const isPredictor = existsSync(join(folder, RECORD_FILE));
  const { adapter, warnings } = await loadAdapter(
    model,
    isPredictor ? join(folder, ADAPTER_FOLDER) : folder,
    { name: ADAPTER, methods: app.get(ADAPTER_METHODS), isTrainable: true },
  );
  for (const message of warnings)
    emit({ type: 'run/warned', code: 'PEFT_ADAPTER_CONFIG', message });
  return adapter.spec.name;
}
