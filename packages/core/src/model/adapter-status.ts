/** What stands on a model, a line for each adapter. */
import type { Adapter } from '../adapter/adapter.js';
import { parameterCount, type ModelDescription } from '../description/model-description.js';
import { adapterCounts } from './adapter-counts.js';

/** What an adapter on a model is and does at the moment. */
export interface AdapterStatus {
  readonly name: string;
  readonly methods: readonly string[];
  readonly isActive: boolean;
  readonly isMerged: boolean;
  readonly isTrainable: boolean;
  /** Sites where it stands in the forward pass. */
  readonly sites: number;
  /** Elements that it adds to the model. */
  readonly parameters: number;
  /** Elements that train, the model's own among them. */
  readonly trainableParameters: number;
}

/** The status of an adapter on a model of this description. */
export function statusOf(
  description: ModelDescription,
  adapter: Adapter,
  now: Pick<AdapterStatus, 'isActive' | 'isMerged'>,
): AdapterStatus {
  const { total, trainable } = adapterCounts(description, [adapter]);
  return {
    name: adapter.name,
    methods: [...new Set(adapter.parts.map(({ part }) => part.method.name as string))],
    ...now,
    isTrainable: adapter.isTrainable,
    sites: adapter.wrappedSites.length,
    parameters: total - parameterCount(description),
    trainableParameters: trainable,
  };
}
