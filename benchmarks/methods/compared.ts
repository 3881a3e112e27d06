/** What is compared: every method and LoRA's variants, by name. */
import type { MethodSpec } from '@peft/core';
import { allMethods, methodNamed } from '@peft/methods';

/** A row of the table. */
export interface Compared {
  readonly name: string;
  /** The method's registered name. */
  readonly method: string;
  /** Beside its defaults. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** LoRA's own variants, each with what turns it on. */
const LORA: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'lora rank-stabilized': { rankStabilized: true },
  'lora dora': { dora: true },
  'lora gaussian': { init: 'gaussian' },
  'lora orthogonal': { init: 'orthogonal' },
  'lora pissa': { init: 'pissa' },
  'lora olora': { init: 'olora' },
  'lora mica': { init: 'mica' },
  'lora eva': { init: 'eva' },
  'lora corda': { init: 'corda' },
  'lora lora-ga': { init: 'lora_ga' },
  'lora kasa': { kasa: { beta: 1e-4, gamma: 1e-3 } },
};

/** In the table's order. */
export const COMPARED: readonly Compared[] = [
  ...allMethods.map(({ name, exampleOptions = {} }) => ({
    name,
    method: name,
    options: exampleOptions,
  })),
  ...Object.entries(LORA).map(([name, options]) => ({ name, method: 'lora', options })),
];

/** The method as `fit` takes it. */
export const specOfRow = ({ method, options }: Compared): MethodSpec =>
  methodNamed(method, options);
