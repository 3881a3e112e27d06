/** Scoring the model in the middle of a run, and what that decides. */
import { PeftError } from '@peft/errors';
import { requireFinite, saveCheckpoint } from '../checkpoints/run-checkpoints.js';
import { enterTop } from '../checkpoints/top-checkpoints.js';
import type { RunContext } from '../run/run-context.js';
import { requireFiniteLoss } from '../step/divergence.js';
import { observeScore } from './early-stopping.js';
import type { Evaluation } from './evaluation.js';
import { beats } from './score.js';

/**
 * Scores the model, ranks what it is now among the best checkpoints and saves it.
 * @returns false when the evaluation was aborted.
 * @throws PEFT_TRAIN_DIVERGED, PEFT_TRAIN_METRIC, PEFT_CHECKPOINT_WRITE, and what `evaluate` throws
 */
export async function validate(run: RunContext): Promise<boolean> {
  const { state, options } = run;
  const validation = options.validation!;
  await requireFinite(run);
  const startedAtMs = run.clock.now();
  const evaluation = await evaluated(run);
  if (!evaluation) return false;
  run.memory.sample();
  const { metrics, examples } = evaluation;
  const score = watchedScore(metrics, validation.metric);
  const { tieMetric } = validation;
  const tie = tieMetric === undefined ? undefined : watchedScore(metrics, tieMetric);
  const made = { step: state.step, score, ...(tie !== undefined && { tie }) };
  // some metrics take a NaN for a wrong answer
  const isSuspect = state.nonFinite.consecutive > 0 || !Number.isFinite(metrics['loss'] ?? score);
  if (isSuspect) await requireFiniteLoss(run);
  const isBest =
    !Number.isNaN(score) &&
    (state.best === undefined || beats(made, state.best, validation.direction));
  const stopping = observeScore(state.earlyStopping, score, validation, tie);
  run.state = {
    ...state,
    lastCheckStep: state.step,
    earlyStopping: stopping.state,
    top: enterTop(state.top, made, options.topK, validation.direction),
    best: isBest ? made : state.best,
    stopped: stopping.stop,
  };
  run.emit({
    type: 'evaluation/completed',
    step: state.step,
    epoch: state.epoch,
    metrics,
    examples,
    durationMs: run.clock.now() - startedAtMs,
    isBest,
  });
  await saveCheckpoint(run);
  return true;
}

/** @returns undefined when the run is aborted. */
async function evaluated(run: RunContext): Promise<Evaluation | undefined> {
  const { evaluate, signal } = run.request;
  try {
    return await evaluate!(signal);
  } catch (error) {
    if (signal?.aborted) return undefined;
    // a model that has diverged fails in its metrics first
    await requireFiniteLoss(run, error);
    throw error;
  }
}

/** @throws PEFT_TRAIN_METRIC when `evaluate` gave no such metric */
function watchedScore(metrics: Readonly<Record<string, number>>, name: string): number {
  const score = metrics[name];
  if (score === undefined) {
    const given = Object.keys(metrics).join(', ') || 'nothing';
    throw new PeftError(
      'PEFT_TRAIN_METRIC',
      `trainer: the validation watches ${JSON.stringify(name)}, evaluate gave ${given}.`,
      { hint: 'name one of them in options.validation.metric' },
    );
  }
  return Number.isFinite(score) ? score : Number.NaN;
}
