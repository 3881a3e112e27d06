import { describe, expect, it } from 'vitest';
import { averageParameters, greedySoup, uniformSoup, type ParameterValues } from './soup.js';

const set = (...values: number[]): ParameterValues => new Map([['w', Float32Array.from(values)]]);
const first = (parameters: ParameterValues): number => parameters.get('w')![0]!;

describe('a mean of parameters', () => {
  it('is taken in float64 and rounded once', () => {
    // In float32, 2^24 + 1 + 1 stays 2^24 at each addition; in float64 the sum is 2^24 + 2 and its
    // third rounds to 5592406.
    expect(first(averageParameters([set(2 ** 24), set(1), set(1)]))).toBe(
      Math.fround((2 ** 24 + 2) / 3),
    );
  });
});

describe('a soup', () => {
  const ranked = [
    { step: 30, score: 0.9 },
    { step: 10, score: 0.8 },
    { step: 20, score: 0.7 },
  ];
  const stored = new Map([
    [30, set(3)],
    [10, set(1)],
    [20, set(8)],
  ]);
  const load = (step: number) => Promise.resolve(stored.get(step)!);

  it('takes in what does not make it worse, judged on the mean of all kept and the candidate', async () => {
    const tried: number[] = [];
    const soup = await greedySoup(ranked, 'max', load, (parameters) => {
      tried.push(first(parameters));
      // as good with 10, worse with 20
      return Promise.resolve({ score: first(parameters) === 2 ? 0.9 : 0.89 });
    });
    expect(tried).toEqual([2, 4]);
    expect(soup.steps).toEqual([30, 10]);
    expect(first(soup.parameters)).toBe(2);
    expect(soup.score).toBe(0.9);
  });

  it('of equals takes in what does not lessen the number that breaks ties', async () => {
    const equal = ranked.map(({ step }) => ({ step, score: 1, tie: step / 10 }));
    const soup = await greedySoup(equal, 'max', load, (parameters) =>
      Promise.resolve({ score: 1, tie: first(parameters) === 2 ? 2.9 : 3 }),
    );
    expect(soup.steps).toEqual([30, 20]);
  });

  it('goes by the direction of the metric and leaves out what scores NaN', async () => {
    const soup = await greedySoup(ranked, 'min', load, (parameters) =>
      Promise.resolve({ score: first(parameters) === 2 ? Number.NaN : 0.1 }),
    );
    expect(soup.steps).toEqual([30, 20]); // mean of 3 and 8, since 10 was left out
    expect(first(soup.parameters)).toBe(5.5);
  });

  it('is the plain mean of all when uniform', async () => {
    const soup = await uniformSoup(ranked, load);
    expect(soup.steps).toEqual([30, 10, 20]);
    expect(first(soup.parameters)).toBe(4);
  });
});
