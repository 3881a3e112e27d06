import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { StudioThread } from './studio-thread.js';

const folder = mkdtempSync(join(tmpdir(), 'peft-studio-thread-'));
const path = join(folder, 'rows.csv');
writeFileSync(path, 'text,label\na,1\nb,2\n');
const thread = new StudioThread(
  new URL('../../../cli/src/studio/run-requests.ts', import.meta.url).href,
);
afterAll(async () => {
  await thread.end();
  rmSync(folder, { recursive: true });
});

const readTable = () => thread.ask('table', path, {});
/** Of a request that names no table. */
const preview = () => thread.askLast('preview', {});
const codeOf = (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    () => 'answered',
    (error: { readonly code?: string }) => error.code,
  );
const previewThrice = () => Promise.all([codeOf(preview()), codeOf(preview()), codeOf(preview())]);
const LAST_ONE = ['PEFT_STUDIO_THREAD', 'PEFT_STUDIO_THREAD', 'PEFT_OPTION_MISSING'];

it('the last preview counts while the thread starts', async () => {
  expect(await previewThrice()).toEqual(LAST_ONE);
});

it('a table that is read is not given up with a preview', async () => {
  const table = readTable();
  expect(await previewThrice()).toEqual(LAST_ONE);
  expect(await table).toMatchObject({ rows: 2, guess: { label: 'label' } });
});

it('the last preview counts while the thread works: it ends, and starts again', async () => {
  expect(await previewThrice()).toEqual(LAST_ONE);
});

it('what runs at the end is given up', async () => {
  const asked = codeOf(readTable());
  await thread.end();
  expect(await asked).toBe('PEFT_STUDIO_THREAD');
});
