import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { smoothed } from '../page/charts/smoothed.js';
import { draftOf, MODEL, requestOf } from '../page/start/draft.js';
import { hashOf, routeOf } from '../page/state/use-route.js';
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
