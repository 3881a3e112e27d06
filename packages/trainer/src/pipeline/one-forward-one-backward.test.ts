import { expect, it } from 'vitest';
import { oneForwardOneBackward, type StageWork } from './one-forward-one-backward.js';

const shown = (work: readonly StageWork[]): string =>
  work.map(({ pass, microBatch }) => `${pass === 'forward' ? 'F' : 'B'}${microBatch}`).join(' ');

it('gives the first of three stages three micro-batches ahead, the last one none', () => {
  expect(shown(oneForwardOneBackward(0, 3, 5))).toBe('F0 F1 F2 B0 F3 B1 F4 B2 B3 B4');
  expect(shown(oneForwardOneBackward(1, 3, 5))).toBe('F0 F1 B0 F2 B1 F3 B2 F4 B3 B4');
  expect(shown(oneForwardOneBackward(2, 3, 5))).toBe('F0 B0 F1 B1 F2 B2 F3 B3 F4 B4');
});

it('does with fewer micro-batches than stages', () => {
  expect(shown(oneForwardOneBackward(0, 4, 2))).toBe('F0 F1 B0 B1');
});

it('never waits for what waits for it', () => {
  // each stage does its next pass once the pass it depends on was done
  for (const [stages, microBatches] of [
    [2, 1],
    [3, 7],
    [5, 4],
  ] as const) {
    const queues = Array.from({ length: stages }, (_, stage) =>
      oneForwardOneBackward(stage, stages, microBatches),
    );
    const done = new Set<string>();
    const isReady = (stage: number, { pass, microBatch }: StageWork): boolean =>
      pass === 'forward'
        ? stage === 0 || done.has(`forward ${microBatch} ${stage - 1}`)
        : stage === stages - 1 || done.has(`backward ${microBatch} ${stage + 1}`);
    for (let left = 2 * stages * microBatches; left > 0;) {
      const before = left;
      for (const [stage, queue] of queues.entries())
        while (queue[0] && isReady(stage, queue[0])) {
          const { pass, microBatch } = queue.shift()!;
          done.add(`${pass} ${microBatch} ${stage}`);
          left -= 1;
        }
      expect(left).toBeLessThan(before);
    }
  }
});
