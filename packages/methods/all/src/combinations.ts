/** Named settings and unions of the methods, beside AutoGluon's. */
import {
  compacter,
  compacterPlusPlus,
  adapterPlus,
  houlsby,
  invertibleAdapter,
  parallelAdapter,
  pfeiffer,
  scaledParallelAdapter,
} from '@peft/adapter';
import type { MethodSpec } from '@peft/core';
import { mam, unipelt } from '@peft/mam';
import { qlora, type QloraOptions } from '@peft/qlora';
import { diReft, loReft, noReft } from '@peft/reft';

/** QLoRA's method; the format of its base (`quantization`) is a setting of the model. */
const qloraMethod = ({
  quantization: _,
  ...options
}: Omit<QloraOptions, 'quantization'> & { readonly quantization?: string } = {}): MethodSpec =>
  qlora(options).method;

const OWN_COMBINATIONS = Object.freeze({
  houlsby,
  pfeiffer,
  parallel: parallelAdapter,
  'scaled-parallel': scaledParallelAdapter,
  compacter,
  'compacter++': compacterPlusPlus,
  invertible: invertibleAdapter,
  'adapter-plus': adapterPlus,
  mam,
  unipelt,
  loreft: loReft,
  noreft: noReft,
  direft: diReft,
  qlora: qloraMethod,
});

/** A name of {@link COMBINATIONS}. */
export type CombinationName = keyof typeof OWN_COMBINATIONS;

/** By name, a function from options to the method's spec. */
export const COMBINATIONS: Readonly<Record<string, (options?: never) => MethodSpec>> =
  OWN_COMBINATIONS;
