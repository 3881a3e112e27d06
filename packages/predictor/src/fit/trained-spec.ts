/** What of a method trains on a model, known before anything is loaded. */
import {
  attachAdapter,
  type Adapter,
  type MethodPart,
  type MethodSpec,
  type ModelDescription,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import type { EventBody } from '../model/base-model.js';

/**
 * The method without the parts that find nothing on this model: what is saved names nothing that
 * loading would look for in vain. A part that is left out, a head that trains alone, and biases or
 * norms that the model lacks are told in a `run/warned` each.
 * @throws PEFT_NOTHING_TRAINS with the name of the method; PEFT_TARGET_NOT_FOUND and
 *   PEFT_METHOD_UNSUPPORTED as attaching does
 */
export function trainedSpec(
  spec: MethodSpec,
  description: ModelDescription,
  emit: (event: EventBody) => void,
): MethodSpec {
  const adapter = attachedWithoutWeights(spec, description);
  if (!adapter) return spec;
  const trained = [...adapter.parameters.values()].filter(({ trainable }) => trainable);
  const { modelType, headModules, sites } = description;
  const outputHeads = sites.flatMap((site) =>
    site.kind === 'linear' && site.isOutputHead ? [site.path] : [],
  );
  const idle = adapter.parts.filter(({ sites }) => sites.length === 0).map(({ part }) => part);
  const names = [...new Set(idle.map(({ method }) => method.name as string))].join(' and ');
  const hint = 'name its layers with optim.lora.filter; peft inspect MODEL --sites lists them';
  const lacks = spec.parts.flatMap(
    ({ method, config }) => method.defaultTargets(description, config).lacks ?? [],
  );
  if (trained.length === 0)
    throw new PeftError(
      'PEFT_NOTHING_TRAINS',
      `${spec.name}: nothing of this ${modelType} would train: ${names} ` +
        `${idle.length > 1 ? 'find' : 'finds'} nothing there.`,
      { hint: spec.parts.some(isLora) ? hint : `choose another method (lora fits every family)` },
    );
  if (lacks.length)
    emit({
      type: 'run/warned',
      code: 'PEFT_MODEL_LACKS',
      message: `${spec.name}: this ${modelType} has no ${lacks.join(' and no ')}; the rest trains.`,
    });
  const isHead = (name: string): boolean =>
    [...headModules, ...outputHeads].some(
      (module) => name === module || name.startsWith(`${module}.`),
    );
  const idleLayers = idle.filter(({ method }) => method.attach.linear);
  if (idleLayers.length > 0 || trained.every(({ name }) => isHead(name)))
    emit({
      type: 'run/warned',
      code: 'PEFT_NOTHING_WRAPPED',
      message:
        `${idle.length ? names : spec.name} found no layer to stand on in this ${modelType}: ` +
        'little more than the head trains.',
      hint,
    });
  adapter.dispose();
  const parts = spec.parts.filter((part) => !idle.includes(part));
  return parts.length === 0 ? spec : { ...spec, parts };
}

/** Positions that a fresh adapter would take in front of every text. */
export function virtualTokensOf(spec: MethodSpec, description: ModelDescription): number {
  const adapter = attachedWithoutWeights(spec, description);
  const tokens = adapter?.virtualTokens ?? 0;
  adapter?.dispose();
  return tokens;
}

const isLora = ({ method }: MethodPart): boolean => method.name === 'lora';

/** undefined for a method that computes on weights while it attaches. */
function attachedWithoutWeights(
  spec: MethodSpec,
  description: ModelDescription,
): Adapter | undefined {
  try {
    return attachAdapter('trial', spec, description, undefined);
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_MODEL_WITHOUT_WEIGHTS') return undefined;
    throw error;
  }
}
