/** The three-phase schedule: warm-up, a long plateau, a short decay. */
import { check } from '@peft/errors';
import { checkRate, type LearningRateSchedule } from './schedules.js';

const SHAPES = ['linear', 'cosine', '1-sqrt'] as const;
/** How warm-up rises or decay falls. */
export type PhaseShape = (typeof SHAPES)[number];

/** The three phases of `warmupStableDecaySchedule`, each in optimiser steps. */
export interface WarmupStableDecayOptions {
  readonly learningRate: number;
  readonly warmupSteps: number;
  /** Length of the plateau. */
  readonly stableSteps: number;
  readonly decaySteps: number;
  /** Default linear. */
  readonly warmupShape?: PhaseShape;
  /** Default cosine. */
  readonly decayShape?: PhaseShape;
  /** Where warm-up starts and decay ends, as a share of the rate. Default 0. */
  readonly minimumShare?: number;
  /** Waves of a cosine decay. Default ½. */
  readonly cycles?: number;
}

/**
 * η·(ρ + (1 − ρ)·up(t/W)) for W steps, η on the plateau, η·(ρ + (1 − ρ)·down(progress)) for the
 * decay, ρη after it. up: x, ½(1 − cos πx), 1 − √(1 − x); down: 1 − x, ½(1 + cos 2π·cycles·x), 1 −
 * √x.
 *
 * @see Hu et al. 2024, MiniCPM, section 4
 */
export function warmupStableDecaySchedule(options: WarmupStableDecayOptions): LearningRateSchedule {
  const {
    learningRate,
    warmupSteps,
    stableSteps,
    decaySteps,
    warmupShape = 'linear',
    decayShape = 'cosine',
    minimumShare = 0,
    cycles = 0.5,
  } = options;
  checkRate('wsd', learningRate);
  check.nonNegativeInteger('wsd', 'warmupSteps', warmupSteps);
  check.nonNegativeInteger('wsd', 'stableSteps', stableSteps);
  check.nonNegativeInteger('wsd', 'decaySteps', decaySteps);
  check.oneOf('wsd', 'warmupShape', warmupShape, SHAPES);
  check.oneOf('wsd', 'decayShape', decayShape, SHAPES);
  check.probability('wsd', 'minimumShare', minimumShare);
  check.positive('wsd', 'cycles', cycles);
  const above = (factor: number): number => Math.max(0, factor * (1 - minimumShare) + minimumShare);
  return (step) => {
    if (step < warmupSteps) return learningRate * above(rising(warmupShape, step / warmupSteps));
    const decayed = step - warmupSteps - stableSteps;
    if (decayed < 0) return learningRate;
    if (decayed < decaySteps)
      return learningRate * above(falling(decayShape, decayed / decaySteps, cycles));
    return learningRate * minimumShare;
  };
}

function rising(shape: PhaseShape, x: number): number {
  if (shape === 'linear') return x;
  return shape === 'cosine' ? 0.5 * (1 - Math.cos(Math.PI * x)) : 1 - Math.sqrt(1 - x);
}

function falling(shape: PhaseShape, x: number, cycles: number): number {
  if (shape === 'linear') return 1 - x;
  return shape === 'cosine' ? 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * x)) : 1 - Math.sqrt(x);
}
