/** The seam for methods whose start values come from training batches. */
import type { Scalar } from '@tensorflow/tfjs';
import type { ModelBatch } from '../model/architecture.js';
import type { Model } from '../model/model.js';
import type { MethodPart, MethodSpec, StartCall } from './peft-method.js';

/** What a start may see of the training to come. */
export interface StartData {
  /** The first `count` micro-batches, fewer where there are not so many. */
  batches(count: number): AsyncIterable<ModelBatch>;
  /** Mean loss of one of them, on the tape, without dropout. */
  loss(batch: ModelBatch): Scalar;
}

/** What a method is handed to choose its start by. */
export interface StartFromData extends StartCall {
  /** Without the adapter that is to start. */
  readonly model: Model;
  readonly data: StartData;
}

/** Whether a part of the spec starts from data: {@link startedSpec} then has to see it first. */
export const startsFromData = ({ parts }: MethodSpec): boolean =>
  parts.some(({ method, config }) => method.startsFromData?.(config) === true);

/**
 * The spec whose parts attach with start values that training batches chose.
 *
 * @param model without the adapter; it is left as it was
 * @returns the spec itself where nothing starts from data
 * @throws what the method throws whose start cannot be made
 */
export async function startedSpec(
  model: Model,
  spec: MethodSpec,
  data: StartData,
): Promise<MethodSpec> {
  if (!startsFromData(spec)) return spec;
  const parts: MethodPart[] = [];
  for (const part of spec.parts) {
    const call: StartFromData = { model, part, data };
    const chosen = part.method.startsFromData?.(part.config)
      ? await part.method.startFromData!(part.config, call)
      : undefined;
    // `markPart`'s mark is kept: it is a property of the part
    parts.push(
      chosen
        ? Object.freeze({
            ...part,
            config: chosen.config as never, // what the method itself made, as in MethodPart
            common: chosen.common ?? part.common,
          })
        : part,
    );
  }
  return Object.freeze({ ...spec, parts: Object.freeze(parts) });
}
