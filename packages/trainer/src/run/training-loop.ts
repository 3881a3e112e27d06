/** The loop of a run: a step, what is due after it, the next one. */
import type { ModelBatch, RunEnded } from '@peft/core';
import { saveCheckpoint } from '../checkpoints/run-checkpoints.js';
import { divergedError, requireFiniteLoss } from '../step/divergence.js';
import { countNonFinite, inARow, isTooManyNonFinite } from '../step/non-finite-guard.js';
import { runStep, type StepOutcome } from '../step/training-step.js';
import { validate } from '../validation/run-validation.js';
import { isCheckDue } from '../validation/validation-schedule.js';
import { requireSameAdapters } from '../ranks/same-adapters.js';
import { byRankZero } from '../ranks/rank-messages.js';
import type { RunContext } from './run-context.js';

/** How a run ends that does not fail. */
export type EndReason = Exclude<RunEnded['reason'], 'failed' | 'diverged'>;

/**
 * Steps, checks and checkpoints until the run is over.
 * @throws PEFT_TRAIN_DIVERGED, and what steps, checks and checkpoints throw
 */
export async function trainingLoop<B extends ModelBatch>(run: RunContext<B>): Promise<EndReason> {
  const { request, options } = run;
  let batches = request.order.batches(run.state.epoch);
  let isFirstStep = true;
  for (;;) {
    const { state } = run;
    const isEpochDone = state.stepInEpoch >= batches.length;
    const isDone =
      state.step >= options.maxSteps || (isEpochDone && state.epoch + 1 >= options.epochs);
    const isOutOfTime = !isDone && (await isPastLimit(run));
    const isChecked = await afterStep(run, batches.length, isDone || isOutOfTime);
    if (!isChecked || request.signal?.aborted) return abort(run);
    if (run.state.stopped) return 'stopped-early';
    if (isDone) {
      if (!options.validation) await requireFiniteLoss(run);
      return 'completed';
    }
    if (isOutOfTime) {
      run.emit({
        type: 'run/warned',
        code: 'PEFT_TRAIN_TIME_LIMIT',
        message: `the time limit of ${options.timeLimitMs} ms has passed after step ${state.step}; the run ends here.`,
      });
      return 'stopped-early';
    }
    if (isEpochDone) {
      run.state = { ...run.state, epoch: state.epoch + 1, stepInEpoch: 0 };
      batches = request.order.batches(run.state.epoch);
      continue;
    }
    const startedAtMs = run.clock.now();
    const outcome = await runStep(run, batches[state.stepInEpoch]!);
    if (outcome.kind === 'aborted') return abort(run);
    recordStep(run, outcome, startedAtMs);
    if (isFirstStep) await requireSameAdapters(run);
    isFirstStep = false;
  }
}

/** Rank 0's clock counts. */
async function isPastLimit({
  options: { timeLimitMs },
  collective,
  clock,
  startedAtMs,
}: RunContext): Promise<boolean> {
  if (timeLimitMs === undefined) return false;
  return byRankZero(collective, () => Promise.resolve(clock.now() - startedAtMs > timeLimitMs));
}

async function abort(run: RunContext): Promise<'aborted'> {
  if (run.savedStep !== run.state.step) await saveCheckpoint(run);
  return 'aborted';
}

function recordStep(
  run: RunContext,
  outcome: Exclude<StepOutcome, { kind: 'aborted' }>,
  startedAtMs: number,
): void {
  const { state, request, options } = run;
  const { examples, tokens } = outcome;
  const step = state.step + 1;
  let nonFinite = state.nonFinite;
  if (outcome.kind === 'updated') {
    nonFinite = { ...nonFinite, consecutive: 0 };
    if (state.stepInEpoch === 0) run.epochLosses = [];
    run.epochLosses.push(outcome.loss);
    run.emit({
      type: 'step/completed',
      step,
      epoch: state.epoch,
      loss: outcome.loss,
      learningRate: request.schedule(state.step),
      gradientNorm: outcome.gradientNorm,
      tokens,
      examples,
      durationMs: run.clock.now() - startedAtMs,
      metrics: outcome.metrics,
    });
  } else if (outcome.cause === 'not-finite') {
    nonFinite = countNonFinite(nonFinite);
    if (isTooManyNonFinite(nonFinite, options.nonFinite))
      throw divergedError(run, `${outcome.what} at step ${step}${inARow(nonFinite)}`);
    run.emit({
      type: 'run/warned',
      code: 'PEFT_TRAIN_NOT_FINITE',
      message: `step ${step} was left out: ${outcome.what}.`,
      hint: 'a lower learning rate may help if it happens often',
    });
  } else {
    run.emit({
      type: 'run/warned',
      code: 'PEFT_TRAIN_NO_LABELS',
      message: `step ${step} was left out: ${outcome.what}.`,
    });
  }
  run.state = {
    ...state,
    step,
    stepInEpoch: state.stepInEpoch + 1,
    examples: state.examples + examples,
    tokens: state.tokens + tokens,
    nonFinite,
  };
}

/**
 * Validation and checkpoint where they are due. A second call after the same step does nothing.
 * @returns false when the evaluation was aborted
 */
async function afterStep(
  run: RunContext,
  stepsPerEpoch: number,
  isLast: boolean,
): Promise<boolean> {
  const { state, options } = run;
  if (state.step === 0 || state.lastCheckStep === state.step) return true;
  const { validation, checkpointEverySteps } = options;
  if (validation && (isLast || isCheckDue({ ...state, stepsPerEpoch }, validation)))
    return validate(run);
  const isEpochEnd = !validation && (state.stepInEpoch >= stepsPerEpoch || isLast);
  const isInterval = checkpointEverySteps !== undefined && state.step % checkpointEverySteps === 0;
  if ((isEpochEnd || isInterval) && run.savedStep !== state.step) await saveCheckpoint(run);
  return true;
}
