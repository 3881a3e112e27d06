/** What is compared: every registered method and combination, and LoRA's variants, by name. */
import type { MethodSpec } from '@peft/core';
import { methodNamed, methodNames } from '@peft/methods';

/** A row of the table. */
export interface Compared {
  readonly name: string;
  /** The method's registered name. */
  readonly method: string;
  /** Beside its defaults. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** AutoGluon's names stand for methods that are listed, on other layers. */
const isListed = (name: string): boolean => !/^(bit_fit|norm_fit|ia3_|lora_)/.test(name);

/** LoRA's own variants, each with what turns it on. */
const LORA: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'lora rank-stabilized': { rankStabilized: true },
  'lora dora': { dora: true },
  'lora gaussian': { init: 'gaussian' },
  'lora orthogonal': { init: 'orthogonal' },
  'lora pissa': { init: 'pissa' },
  'lora olora': { init: 'olora' },
  'lora mica': { init: 'mica' },
  'lora kasa': { kasa: { beta: 1e-4, gamma: 1e-3 } },
};

/** In the table's order. */
export const COMPARED: readonly Compared[] = [
  ...methodNames()
    .filter(isListed)
    .map((name) => ({ name, method: name, options: {} })),
  ...Object.entries(LORA).map(([name, options]) => ({ name, method: 'lora', options })),
];

/** The method as `fit` takes it. */
export const specOfRow = ({ method, options }: Compared): MethodSpec =>
  methodNamed(method, options);
