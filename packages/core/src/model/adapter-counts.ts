/** How many parameters train, and how many adapters add. */
import type { Adapter } from '../adapter/adapter.js';
import { type ModelDescription, parameterCount } from '../description/model-description.js';
import type { OwnedParameter } from '../method/attach-context.js';

/**
 * Counts on a description and adapters put on it, with or without weights. What a method keeps
 * without training it counts as nothing.
 */
export function adapterCounts(
  description: ModelDescription,
  adapters: readonly Adapter[],
): { readonly trainable: number; readonly total: number } {
  const size = ({ shape }: OwnedParameter) =>
    shape.reduce((product, length) => product * length, 1);
  const sum = (list: readonly OwnedParameter[]) =>
    list.reduce((total, parameter) => total + size(parameter), 0);
  const added = adapters
    .flatMap((adapter) => [...adapter.parameters.values()])
    .filter(({ origin, trainable }) => origin === 'new' && trainable);
  return {
    trainable: sum(adapters.flatMap(trainablesOf)),
    total: parameterCount(description) + sum(added),
  };
}

/** Parameters of an adapter that train, in the order in which they were made. */
export const trainablesOf = (adapter: Adapter): OwnedParameter[] =>
  adapter.isTrainable ? [...adapter.parameters.values()].filter(({ trainable }) => trainable) : [];
