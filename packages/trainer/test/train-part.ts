/** A part of the tiny run, up to an abort or to its end: what the tests of resuming start from. */
import { type StateStore } from '@peft/optim';
import { train, type CheckpointStore, type TrainOptions } from '../src/index.js';
import { adapterBytes, tinyData, tinyModel, tinyRun, tinyValidation } from './tiny-run.js';

/** Trains a fresh model, with validation and soup, until `abortAt` steps are done or to the end. */
export async function trainPart(
  store: CheckpointStore,
  {
    abortAt,
    inMicroBatch = false,
    stateStore,
    ...options
  }: TrainOptions & { abortAt?: number; inMicroBatch?: boolean; stateStore?: StateStore } = {},
) {
  const model = await tinyModel();
  const { evaluate, validation } = tinyValidation(model);
  const controller = new AbortController();
  const data = tinyData();
  let packed = 0;
  const abortedInMicroBatch: typeof data = {
    ...data,
    pack: (indices) => {
      packed += 1;
      if (packed === 3 * abortAt!) setImmediate(() => controller.abort());
      return data.pack(indices);
    },
  };
  const { request, events } = tinyRun(model, {
    store,
    evaluate,
    signal: controller.signal,
    stateStore,
    data: inMicroBatch ? abortedInMicroBatch : data,
    options: { validation, topK: 2, resume: true, ...options },
  });
  if (!inMicroBatch)
    request.bus!.listen(
      (event) => event.type === 'step/completed' && event.step === abortAt && controller.abort(),
    );
  const result = await train(request);
  const bytes = adapterBytes(model);
  model.dispose();
  return { result, bytes, events };
}
