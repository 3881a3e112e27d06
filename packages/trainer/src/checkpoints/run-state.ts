/** Where a run is: everything beside tensors that it needs to go on exactly. JSON-safe. */
import { PeftError } from '@peft/errors';
import type { EarlyStoppingState } from '../validation/early-stopping.js';
import type { NonFiniteState } from '../step/non-finite-guard.js';
import type { RunSettings } from '../run/run-settings.js';
import type { ScoredCheckpoint } from './top-checkpoints.js';

/** What `trainer_state.json` holds: position, scores, settings. Version 1. */
export interface RunState {
  readonly version: 1;
  /** Optimiser steps done, those left out for a NaN included. */
  readonly step: number;
  /** Epochs done before the present one. */
  readonly epoch: number;
  /** Batches of the present epoch's order that are done. */
  readonly stepInEpoch: number;
  readonly examples: number;
  readonly tokens: number;
  /** Time spent so far, resumed parts added up. */
  readonly elapsedMs: number;
  /** The step whose validation check was the last; 0 before the first. */
  readonly lastCheckStep: number;
  readonly earlyStopping: EarlyStoppingState;
  /** The best `topK` checkpoints, in order of time. */
  readonly top: readonly ScoredCheckpoint[];
  /** The best check of all. */
  readonly best?: ScoredCheckpoint;
  /** Set once early stopping has ended the run: a resumed run ends again. */
  readonly stopped?: 'patience' | 'threshold';
  readonly nonFinite: NonFiniteState;
  /** How gradients are added. Checkpoints that lack it are of runs that added one by one. */
  readonly gradientSum?: 'pairwise';
  /**
   * Which rows of a model's last block its steps make, `RunOptions.headRowsOnly`. Checkpoints that lack
   * it are of runs that made all of them.
   */
  readonly lastBlock?: 'head-rows';
  /**
   * Names every random stream of the run with the step and the number of the micro-batch: the
   * streams are functions of these, so nothing else has to be kept.
   */
  readonly seed: number;
  /** The learning rate of the step to come. */
  readonly learningRate: number;
  readonly engine: string;
  /** What the task remembers between two steps, if anything. */
  readonly task?: unknown;
  readonly settings: RunSettings;
  /** sha256 of `settings`. */
  readonly settingsHash: string;
}

const COUNTS = new Set(['step', 'epoch', 'stepInEpoch', 'examples', 'tokens', 'lastCheckStep']);

/** Checks what was read from a file. @throws PEFT_CHECKPOINT_DAMAGED naming what is wrong */
export function parseRunState(value: unknown, where: string): RunState {
  const fail = (problem: string): never => {
    throw new PeftError('PEFT_CHECKPOINT_DAMAGED', `trainer: ${where}: ${problem}.`, {
      hint: 'resume from another checkpoint, or start again',
    });
  };
  if (typeof value !== 'object' || value === null) return fail('it is not an object');
  const state = value as Record<string, unknown>;
  if (state['version'] !== 1) fail(`version ${JSON.stringify(state['version'])} is not 1`);
  for (const key of [
    'step',
    'epoch',
    'stepInEpoch',
    'examples',
    'tokens',
    'elapsedMs',
    'lastCheckStep',
    'seed',
  ]) {
    if (typeof state[key] !== 'number' || !(state[key] >= 0))
      fail(`${key} must be a number of at least 0, got ${JSON.stringify(state[key])}`);
    if (COUNTS.has(key) && !Number.isSafeInteger(state[key]))
      fail(`${key} must be a whole number below 2⁵³, got ${JSON.stringify(state[key])}`);
  }
  for (const key of ['earlyStopping', 'nonFinite', 'settings'])
    if (typeof state[key] !== 'object' || state[key] === null) fail(`${key} is missing`);
  if (![undefined, 'pairwise'].includes(state['gradientSum'] as string))
    fail(`gradientSum ${JSON.stringify(state['gradientSum'])} is not known`);
  if (![undefined, 'head-rows'].includes(state['lastBlock'] as string))
    fail(`lastBlock ${JSON.stringify(state['lastBlock'])} is not known`);
  const top = state['top'];
  if (
    !Array.isArray(top) ||
    !top.every(
      (entry: Partial<ScoredCheckpoint> | null) =>
        typeof entry?.step === 'number' && typeof entry.score === 'number',
    )
  )
    fail('top is not a list of steps and scores');
  return value as RunState;
}
