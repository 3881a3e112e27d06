/** Runs are processes of their own: they stop, resume, and outlive the studio that started them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { RunDetails, RunSeries } from '../src/api-types.js';
import { openStudio, QUICK_MODEL, type OpenStudio } from './studio-fixture.js';

/** Labels that the texts do not tell, so that no score is the best there is. */
const TABLE = [
  'topic,text',
  ...Array.from(
    { length: 60 },
    (_, at) => `${(at * 7) % 3 ? 'yes' : 'no'},one text is like another`,
  ),
].join('\n');

const detailsOf = async (studio: OpenStudio): Promise<RunDetails | undefined> => {
  const response = await studio.ask('/api/run?run=long');
  return response.ok ? ((await response.json()) as RunDetails) : undefined;
};

async function until(
  studio: OpenStudio,
  isThere: (run: RunDetails, series: RunSeries) => boolean,
): Promise<void> {
  for (;;) {
    const details = await detailsOf(studio);
    if (details) {
      const series = await studio.get<RunSeries>('/api/series?run=long');
      if (isThere(details, series)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it('a run stops with a checkpoint, resumes from it, and goes on when its studio ends', async () => {
  const studio = await openStudio();
  const train = join(studio.folder, 'rows.csv');
  writeFileSync(train, TABLE);
  await studio.post('/api/tables/name', { path: train });
  const request = {
    train,
    label: 'topic',
    text: ['text'],
    model: QUICK_MODEL,
    method: 'ia3_bias',
    metric: 'accuracy',
    hyperparameters: {
      'optim.max_epochs': 5000,
      'optim.patience': 100_000,
      'env.batch_size': 8,
      'env.engine': 'portable',
    },
  };
  expect((await studio.post('/api/start', { name: 'long', request })).status).toBe(200);
  await until(studio, ({ state }, { recordedSteps }) => state === 'running' && recordedSteps > 2);
  expect((await studio.post('/api/stop', { run: 'long' })).status).toBe(200);
  await until(studio, ({ state }) => state === 'aborted');

  // another studio on the same folder goes on with it, and ends before the run does
  const second = await openStudio(studio.folder);
  expect((await second.post('/api/resume', { run: 'long' })).status).toBe(200);
  await until(
    second,
    ({ state }, { resumedAtSteps }) => state === 'running' && resumedAtSteps.length > 0,
  );
  await second.close();
  const { recordedSteps } = await studio.get<RunSeries>('/api/series?run=long');
  await until(
    studio,
    ({ state }, series) => state === 'running' && series.recordedSteps > recordedSteps + 2,
  );
  expect((await studio.post('/api/stop', { run: 'long' })).status).toBe(200);
  await until(studio, ({ state }) => state === 'aborted');
  await studio.close();
});
