import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrainEvent } from '@peft/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventLog } from './event-log.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-event-log-'));
  path = join(folder, 'events.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lineOf = (event: TrainEvent): string => `${JSON.stringify(event)}\n`;
const write = (...events: TrainEvent[]): void => appendFileSync(path, events.map(lineOf).join(''));

const started = (runId: string, resumedAtStep?: number): TrainEvent => ({
  type: 'run/started',
  runId,
  atMs: 0,
  modelType: 'bert',
  method: 'lora',
  engine: 'native (bf16)',
  trainableParameters: 1,
  totalParameters: 2,
  plannedSteps: 10,
  plannedEpochs: 1,
  resumedAtStep,
});
const step = (at: number, runId = 'a', loss = 1 / at): TrainEvent => ({
  type: 'step/completed',
  runId,
  atMs: at * 2000,
  step: at,
  epoch: 0,
  loss,
  learningRate: 0.1,
  gradientNorm: 1,
  tokens: 50,
  examples: 4,
  durationMs: 500,
});
const checked = (at: number, runId = 'a'): TrainEvent => ({
  type: 'evaluation/completed',
  runId,
  atMs: at * 2000,
  step: at,
  epoch: 0,
  metrics: { accuracy: 0.5 },
  examples: 4,
  durationMs: 1,
  isBest: true,
});
const planned = (peakBytes: number, runId = 'a'): TrainEvent => ({
  type: 'memory/planned',
  runId,
  atMs: 0,
  peakBytes,
  usableBytes: 1000,
  changes: [],
});

describe('the log of a run', () => {
  it('is read as it grows, and half a line waits for its other half', async () => {
    const log = new EventLog(path);
    await log.read();
    expect(log.series(0, undefined, 100).recordedSteps).toBe(0);
    write(planned(500), started('a'), step(1), step(2));
    const half = lineOf(step(3));
    appendFileSync(path, half.slice(0, 20));
    await log.read();
    const first = log.series(0, undefined, 100);
    expect(first).toMatchObject({
      recordedSteps: 2,
      plannedSteps: 10,
      memory: { plannedPeakBytes: 500, usableBytes: 1000 },
      secondsPerStep: 2,
      steps: { step: [1, 2], loss: [1, 0.5], tokensPerSecond: [100, 100] },
    });
    appendFileSync(path, half.slice(20));
    write(checked(3));
    await log.read();
    const more = log.series(first.recordedSteps, first.edition, 100);
    expect(more.steps.step).toEqual([3]);
    expect(more.checks).toEqual([{ step: 3, metrics: { accuracy: 0.5 }, isBest: true }]);
  });

  it('has gaps where the run had no finite number, and passes over what is no event', async () => {
    write(started('a'));
    appendFileSync(path, 'no JSON\n{"type":"other/happened","runId":"a"}\n');
    write(step(1, 'a', Number.NaN), step(2));
    const log = new EventLog(path);
    await log.read();
    expect(log.series(0, undefined, 100).steps.loss).toEqual([null, 0.5]);
  });

  it('of a resumed run goes on at its checkpoint, with the new plan', async () => {
    write(planned(500), started('a'), step(1), step(2), checked(2), step(3), checked(3));
    const log = new EventLog(path);
    await log.read();
    const before = log.series(0, undefined, 100);
    write(planned(700, 'b'), started('b', 2), step(3, 'b', 9));
    await log.read();
    const series = log.series(before.recordedSteps, before.edition, 100);
    expect(series.edition).not.toBe(before.edition);
    expect(series).toMatchObject({
      steps: { step: [1, 2, 3], loss: [1, 0.5, 9] },
      checks: [{ step: 2 }],
      resumedAtSteps: [2],
      memory: { plannedPeakBytes: 700 },
    });
  });

  it('of a run that is trained further is that of the further one', async () => {
    write(planned(500), started('a'), step(1), step(2));
    write(planned(700, 'b'), started('b'), step(1, 'b', 3));
    const log = new EventLog(path);
    await log.read();
    expect(log.series(0, undefined, 100)).toMatchObject({
      steps: { step: [1], loss: [3] },
      memory: { plannedPeakBytes: 700 },
    });
  });

  it('that was replaced by a shorter one is read anew', async () => {
    write(started('a'), step(1), step(2));
    const log = new EventLog(path);
    await log.read();
    truncateSync(path, 0);
    writeFileSync(path, lineOf(started('b')) + lineOf(step(1, 'b', 7)));
    await log.read();
    expect(log.series(2, '0', 100).steps).toMatchObject({ step: [1], loss: [7] });
  });

  it('is thinned to true points, with the extremes of loss and gradient among them', async () => {
    const losses = Array.from({ length: 5000 }, (_, at) => 2 + Math.sin(at / 100));
    losses[1234] = 99;
    losses[4321] = -7;
    write(started('a'), ...losses.map((loss, at) => step(at + 1, 'a', loss)));
    const log = new EventLog(path);
    await log.read();
    const { steps, recordedSteps } = log.series(0, undefined, 400);
    expect(recordedSteps).toBe(5000);
    expect(steps.step.length).toBeLessThanOrEqual(500);
    expect(Math.max(...(steps.loss as number[]))).toBe(99);
    expect(Math.min(...(steps.loss as number[]))).toBe(-7);
    expect([steps.step[0], steps.step.at(-1)]).toEqual([1, 5000]);
    for (const [at, each] of steps.step.entries()) expect(steps.loss[at]).toBe(losses[each - 1]);
  });

  it('holds what steps tell beside their loss, also where only some do', async () => {
    const log = new EventLog(path);
    const told = (at: number, metrics: Record<string, number | null>): TrainEvent =>
      ({ ...step(at), metrics }) as TrainEvent;
    write(started('a'), step(1), told(2, { kl: 0.5, 'rewards/chosen': 2 }));
    // a number that is not finite is null in a log
    write(told(3, { kl: null }), ...Array.from({ length: 1100 }, (_, i) => told(4 + i, { kl: i })));
    await log.read();
    const { step: steps, metrics } = log.series(0, undefined, 5000).steps;
    expect(metrics['kl']!.slice(0, 5)).toEqual([null, 0.5, null, 0, 1]);
    expect(metrics['rewards/chosen']!.slice(0, 3)).toEqual([null, 2, null]);
    expect(metrics['kl']).toHaveLength(steps.length);
    expect(metrics['kl']!.at(-1)).toBe(1099);
    // a step that comes again says what it says now
    write(started('a', 2), told(3, { kl: 7 }));
    await log.read();
    expect(log.series(0, undefined, 100).steps.metrics['kl']).toEqual([null, 0.5, 7]);
  });
});
