/** AutoGluon's model for classification, and its names of parameters. */
import { readFileSync } from 'node:fs';
import {
  architectureFor,
  describeModel,
  type Adapter,
  type MethodSpec,
  type ModelDescription,
  type OwnedParameter,
} from '@peft/core';
import { architectures } from '@peft/models';
import { AUTOGLUON_METHODS, autogluonMethod, type AutogluonMethod } from '@peft/methods';

export const HEAD = { kind: 'pooled-linear', outputs: 2 } as const;

/** Why a case cannot be run here. */
export function unsupported(
  config: Readonly<Record<string, unknown>>,
  peft?: string,
): string | undefined {
  if (!architectures.some(({ modelTypes }) => modelTypes.includes(config['model_type'] as string)))
    return `model_type ${String(config['model_type'])}`;
  return peft !== undefined && !(AUTOGLUON_METHODS as readonly string[]).includes(peft)
    ? `optim.peft ${peft}`
    : undefined;
}

/** AutoGluon's own behaviour: where its default filter names no layer, the head trains alone. */
export const exactAutogluonMethod = (value: string): MethodSpec =>
  autogluonMethod(value as AutogluonMethod, { familyTargets: false });

export function describe(config: Record<string, unknown>): ModelDescription {
  const architecture = architectureFor(config['model_type'], architectures);
  return describeModel(architecture, architecture.parseConfig(config), HEAD);
}

export const trainablesOf = (adapter: Adapter): OwnedParameter[] =>
  [...adapter.parameters.values()].filter(({ trainable }) => trainable);

export const baseName = (name: string): string =>
  name.startsWith('head.') ? name : `model.${name}`;

/**
 * AutoGluon's name: `model.` before the backbone's, `lora_b` for an IA3 vector, no `.weight` after
 * LoRA's matrices.
 */
export const autogluonName = ({ name }: OwnedParameter): string =>
  baseName(name)
    .replace(/\.ia3_l$/, '.lora_b')
    .replace(/\.(lora_[AB])\.weight$/, '.$1');

export const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;
