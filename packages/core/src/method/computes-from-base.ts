import type { MethodSpec } from './peft-method.js';

/**
 * Whether a part of the spec makes fixed parts of the base's values that no file holds: its results
 * are those that were trained only beside the values that it was trained with.
 */
export const computesFromBase = ({ parts }: MethodSpec): boolean =>
  parts.some(({ method, config }) => method.computesFromBase?.(config) === true);
