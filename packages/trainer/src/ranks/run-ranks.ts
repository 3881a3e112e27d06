/**
 * A request as the ranks of a run carry it out together: rank 0 keeps checkpoints, scores and tells
 * of the run; whether it ends is agreed.
 */
import { readFile } from 'node:fs/promises';
import type { Collective, ModelBatch } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import { hashSettings, differentSettings, type RunSettings } from '../run/run-settings.js';
import type { TrainRequest } from '../run/run-context.js';
import type { Evaluate, Evaluation } from '../validation/evaluation.js';
import { byRankZero, gatherValues } from './rank-messages.js';
import { sharedModel } from './require-shared-task.js';
import { rankStore } from './rank-store.js';
import type { StopAgreement } from './stop-agreement.js';

/**
 * The request of one rank of several, whose store, evaluation and signal are those of all. A single
 * rank keeps its own.
 */
export function requestOfRanks<B extends ModelBatch>(
  given: TrainRequest<B>,
  collective: Collective,
): { readonly request: TrainRequest<B>; readonly stop: StopAgreement } {
  const { signal, store, evaluate, bus } = given;
  if (collective.size === 1) return { request: given, stop: { signal, agree: () => undefined } };
  const agreed = new AbortController();
  const agree = (): void => agreed.abort(signal?.reason);
  const request: TrainRequest<B> = {
    ...given,
    signal: agreed.signal,
    store: store && rankStore(store, collective),
    evaluate:
      evaluate &&
      (sharedModel(given.model) ? evaluateTogether : evaluateOnce)(evaluate, {
        collective,
        signal,
        agree,
      }),
    bus: collective.rank === 0 ? bus : undefined,
  };
  return { request, stop: { signal, agree } };
}

/** What an evaluation of several ranks knows of them. */
interface Together {
  readonly collective: Collective;
  readonly signal: AbortSignal | undefined;
  readonly agree: () => void;
}

const stoppedScoring = (): PeftError =>
  new PeftError('PEFT_RUN_ABORTED', 'trainer: the run was stopped while it was scored.');

/** All ranks score the model that they hold together; whether it stops is agreed at the end. */
function evaluateTogether(evaluate: Evaluate, { collective, signal, agree }: Together): Evaluate {
  return async () => {
    const evaluation = await evaluate(undefined);
    const asked = Uint8Array.of(signal?.aborted ? 1 : 0);
    await collective.allReduce(asked, 'max');
    if (asked[0] === 0) return evaluation;
    agree();
    throw stoppedScoring();
  };
}

/** Rank 0 scores the model. */
function evaluateOnce(evaluate: Evaluate, { collective, signal, agree }: Together): Evaluate {
  return async () => {
    const evaluation = await byRankZero(collective, async (): Promise<Evaluation | undefined> => {
      try {
        return await evaluate(signal);
      } catch (error) {
        if (signal?.aborted) return undefined;
        throw error;
      }
    });
    if (evaluation) return evaluation;
    agree();
    throw stoppedScoring();
  };
}

/**
 * Compares what must be the same on all ranks, the version of this package included.
 * @throws PEFT_RANKS_DIFFER on all of them, naming what differs
 */
export async function requireSameRanks(
  collective: Collective,
  settings: RunSettings,
): Promise<void> {
  if (collective.size === 1) return;
  const { version } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { readonly version: string };
  const own: RunSettings = { ...settings, 'version of @peft/trainer': version };
  const hashes = await gatherValues(collective, hashSettings(own));
  const other = hashes.findIndex((hash) => hash !== hashes[0]);
  if (other < 0) return;
  const all = await gatherValues(collective, own);
  const names = differentSettings(all[other]!, all[0]!);
  const list = names.map(
    (name) => `${name} (${show(all[other]![name])} there, ${show(all[0]![name])} on rank 0)`,
  );
  throw new PeftError(
    'PEFT_RANKS_DIFFER',
    `trainer: rank ${other} has other settings than rank 0: ${list.join('; ')}.`,
    {
      hint:
        'every rank needs the same data, base model, settings and versions: compare the files and ' +
        'the packages of the machines',
    },
  );
}
