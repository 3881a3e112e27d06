import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { chartsOf } from '../page/charts/all-charts.js';
import { smoothed } from '../page/charts/smoothed.js';
import { draftOf, MODEL, requestOf } from '../page/start/draft.js';
import { mergedSeries } from '../page/state/merged-series.js';
import { hashOf, routeOf } from '../page/state/use-route.js';
import type { RunSeries, StepColumns } from '../src/api-types.js';
import { pageFiles } from '../src/http/page-files.js';

it('the page is small: 60 kB at most, compressed, and asks nothing of other hosts', async () => {
  const files = Object.values(await pageFiles());
  const bytes = files.reduce((sum, text) => sum + gzipSync(text).length, 0);
  expect(bytes).toBeLessThan(60_000);
  // licences name addresses; nothing else does
  const code = files.join('').replace(/\/\*[\s\S]*?\*\//g, '');
  expect(code.match(/https?:\/\/(?!www\.w3\.org)[^"'`\s]+/g)).toBeNull();
});

it('a smoothed curve is the weighted mean of what came before, from the first point on', () => {
  // β = 0.5: (0.25·4 + 0.5·1) / 0.75 = 2
  expect(smoothed([4, 1], 0.5)).toEqual([4, 2]);
  expect(smoothed([3, null, 3], 0.9)).toEqual([3, null, expect.closeTo(3)]);
  expect(smoothed([1, 2, 3], 0)).toEqual([1, 2, 3]);
});

const seriesOf = (step: number[], metrics: StepColumns['metrics']): RunSeries => {
  const loss = step.map(() => 1);
  const numbers = { loss, learningRate: loss, gradientNorm: loss, tokensPerSecond: loss };
  const told = { checks: [], resumedAtSteps: [], warnings: [] };
  const steps = { step, ...numbers, metrics };
  return { edition: '0', recordedSteps: step.length, steps, ...told };
};

it('what steps tell beside their loss has a chart each, in the runs that tell it', () => {
  const first = seriesOf([1, 2], { kl: [0.1, 0.2] });
  const series = mergedSeries(first, seriesOf([3], { kl: [0.3], 'rewards/chosen': [1] }));
  const charts = chartsOf([series, seriesOf([1], {})]);
  const curveOf = (title: string, of: RunSeries) =>
    charts.find((chart) => chart.title === title)!.curve(of);
  expect(curveOf('kl', series)).toEqual({ x: [1, 2, 3], y: [0.1, 0.2, 0.3] });
  expect(curveOf('rewards/chosen', series).y).toEqual([null, null, 1]);
  expect(curveOf('kl', seriesOf([1], {}))).toEqual({ x: [], y: [] });
  expect(new Set(charts.map(({ id }) => id)).size).toBe(charts.length);
});

it('a place in the page is an address that holds any run’s name', () => {
  const ids = ['a/b', 'c,d', 'ü %'];
  expect(routeOf(hashOf('runs', ids))).toEqual({ page: 'runs', names: ids });
  expect(routeOf('')).toEqual({ page: 'runs', names: [] });
});

it('a form for a run like another asks for the same, also what it has no field for', () => {
  const settings = { 'optim.lr': 0.1 };
  const request = { train: '/a.csv', label: 'topic', method: 'ia3', text: ['title'] };
  const draft = draftOf({ ...request, hyperparameters: { ...settings, [MODEL]: 'base' } });
  expect(draft.others).toEqual({ text: ['title'] });
  expect(requestOf({ ...draft, name: 'again' })).toEqual({
    ...request,
    model: 'base',
    hyperparameters: settings,
  });
  expect(requestOf(draftOf({ train: '/a.csv' }))).toEqual({ train: '/a.csv' });
});
