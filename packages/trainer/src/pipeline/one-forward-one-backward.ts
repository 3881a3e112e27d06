/**
 * The order in which a stage works through the micro-batches of a step: as many forward passes as
 * there are stages behind it, then one backward and one forward pass in turn, so that no stage holds
 * more micro-batches than there are stages from it to the last (Narayanan et al. 2021, PipeDream-Flush,
 * section 2.2). Backward passes come in the order of the micro-batches.
 */

/** A pass over a micro-batch, which is counted from 0 within the stage's share. */
export interface StageWork {
  readonly pass: 'forward' | 'backward';
  readonly microBatch: number;
}

/** @param stage from 0 */
export function oneForwardOneBackward(
  stage: number,
  stages: number,
  microBatches: number,
): StageWork[] {
  const ahead = Math.min(stages - stage, microBatches);
  const work: StageWork[] = [];
  for (let next = 0; next < ahead; next += 1) work.push({ pass: 'forward', microBatch: next });
  for (let done = 0; done < microBatches; done += 1) {
    work.push({ pass: 'backward', microBatch: done });
    if (done + ahead < microBatches) work.push({ pass: 'forward', microBatch: done + ahead });
  }
  return work;
}
