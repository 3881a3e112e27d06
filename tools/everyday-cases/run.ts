/**
 * Judges cases of everyday trouble: `npm run test:cases -- --cases DIR [--only PATTERN] [--models
 * DIR]`.
 *
 * Each folder of DIR is a kind of trouble; its name says what is right, its files are the inputs.
 * Ends with exit code 1 when a case went wrong, and 2 when there was none; what cannot be judged
 * here is said.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Judge } from './everyday-case.js';
import * as checkpoints from './judge-checkpoints.js';
import * as hostile from './judge-hostile.js';
import * as tables from './judge-tables.js';
import * as texts from './judge-texts.js';

const JUDGES: Readonly<Record<string, Judge>> = {
  'cut-off-answers-dropped': texts.cutOffAnswers,
  'doubled-begin-token': texts.doubledMarks,
  'gpt2-position-limit': texts.positionLimit,
  'header-not-recognised': tables.headerNotRecognised,
  'lone-quotes-swallow-rows': tables.loneQuotes,
  'merge-tied-output-layer': checkpoints.adapterMerges,
  'mixed-line-ends': tables.mixedLineEnds,
  'null-flags-in-adapter-config': checkpoints.adapterLoads,
  'saved-predictor-cannot-be-loaded': checkpoints.savedPredictor,
  'semicolon-csv': tables.foundDelimiter,
  'shard-with-unlisted-tensor': checkpoints.checkpointLoads,
  'tool-calls-null-content': texts.toolCalls,
  'tools-column-ignored': texts.toolsColumn,
  'turn-end-is-no-end-token': texts.turnEnd,
  'vocabulary-grew': checkpoints.grownVocabulary,
  'hostile/config-bomb': hostile.configBomb,
  'hostile/parquet-hang': hostile.parquet,
  'hostile/parquet-unhandled': hostile.parquet,
  'hostile/regular-expressions': hostile.patterns,
  'hostile/run-file-plugin': hostile.runFilePlugin,
  'hostile/tokenizer-hang': hostile.tokenizer,
};
/** Folders that hold kinds themselves. */
const GROUPS = ['hostile'];

const { values: options } = parseArgs({
  options: {
    cases: { type: 'string' },
    only: { type: 'string', default: '' },
    models: {
      type: 'string',
      default: fileURLToPath(new URL('../../packages/testing/fixtures/models', import.meta.url)),
    },
  },
});
if (!options.cases || !existsSync(options.cases)) {
  console.error('usage: npm run test:cases -- --cases DIR [--only PATTERN] [--models DIR]');
  process.exit(2);
}

const root = resolve(options.cases);
const only = new RegExp(options.only);
const folders = foldersOf(root)
  .flatMap((folder) => (GROUPS.includes(relative(root, folder)) ? foldersOf(folder) : [folder]))
  .filter((folder) => only.test(relative(root, folder)));
const counts = { passed: 0, failed: 0, unjudged: 0 };
for (const folder of folders) {
  const name = relative(root, folder);
  const { status, detail } = await judged(folder, name);
  counts[status] += 1;
  console.log(`${status.padEnd(9)} ${name}  ${detail}`);
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.unjudged} not judged`);
process.exit(counts.failed > 0 ? 1 : Number(folders.length === 0) * 2);

async function judged(
  folder: string,
  name: string,
): Promise<{ readonly status: keyof typeof counts; readonly detail: string }> {
  const judge = JUDGES[name];
  if (!judge) return { status: 'unjudged', detail: 'nothing here knows this kind' };
  try {
    const seen = await judge({ folder, models: resolve(options.models) });
    return typeof seen === 'string'
      ? { status: 'passed', detail: seen }
      : { status: 'unjudged', detail: seen.why };
  } catch (error) {
    return { status: 'failed', detail: (error as Error).message };
  }
}

function foldersOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(folder, name))
    .sort();
}
