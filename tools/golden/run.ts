/**
 * Runs golden cases against the toolkit: `npm run test:golden -- --fixtures DIR [--only PATTERN]
 * [--engine NAME]`.
 *
 * Every folder below DIR with a `case.json` is a case; its `section` names the file in `sections/`
 * that checks it. A folder with AutoGluon's tables (`counts.json`, `layer_ids.json`) is one, too.
 * Ends with exit code 1 when a case failed, and 2 when there was none.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { ENGINE_NAMES, openEngine } from './engines.js';
import type { GoldenContext, GoldenResult, GoldenSection } from './golden-case.js';

const USAGE = `usage: npm run test:golden -- --fixtures DIR [--only PATTERN] [--engine ${ENGINE_NAMES.join('|')}]`;
const { values: options } = parseArgs({
  options: {
    fixtures: { type: 'string' },
    only: { type: 'string' },
    engine: { type: 'string', default: 'portable' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help || !options.fixtures) {
  console.log(USAGE);
  process.exit(options.help ? 0 : 2);
}

const fixtures = resolve(options.fixtures);
const only = new RegExp(options.only ?? '');
const folders = caseFolders(fixtures).filter((folder) => only.test(relative(fixtures, folder)));
if (folders.length === 0) {
  console.error(`no case.json below ${fixtures}${options.only ? ` matches ${options.only}` : ''}`);
  process.exit(2);
}

const engine = await openEngine(options.engine);
console.log(`engine: ${engine.description}`);
const counts: Record<GoldenResult['status'], number> = { passed: 0, failed: 0, unsupported: 0 };
for (const folder of folders) {
  const { status, detail } = await checkCase(folder, { fixtures, engine });
  counts[status] += 1;
  console.log(`${status.padEnd(11)} ${relative(fixtures, folder)}  ${detail}`);
}
engine.dispose();
console.log(
  `${counts.passed} passed, ${counts.failed} ` +
    `failed${counts.unsupported ? ` (${counts.unsupported} unsupported, skipped)` : ''}`,
);
process.exit(counts.failed ? 1 : 0);

function caseFolders(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  return [
    ...(existsSync(join(folder, 'case.json')) || hasTables(folder) ? [folder] : []),
    ...entries.flatMap((name) => caseFolders(join(folder, name))),
  ];
}

/** The autogluon section also has tables of its own beside its cases. */
function hasTables(folder: string): boolean {
  return ['counts.json', 'layer_ids.json'].some((name) => existsSync(join(folder, name)));
}

async function checkCase(folder: string, context: GoldenContext): Promise<GoldenResult> {
  const { section } = hasTables(folder)
    ? { section: 'autogluon' }
    : (JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) as { section?: string });
  const file = fileURLToPath(new URL(`sections/${section}.ts`, import.meta.url));
  if (!section || !/^[\w-]+$/.test(section) || !existsSync(file))
    return { status: 'unsupported', detail: `there is no check of section "${section}"` };
  const before = tf.memory().numTensors;
  try {
    const { check } = (await import(`./sections/${section}.js`)) as GoldenSection;
    const result = await check(folder, context);
    const leaked = tf.memory().numTensors - before;
    return leaked === 0 || result.status !== 'passed'
      ? result
      : { status: 'failed', detail: `${leaked} tensors were left over` };
  } catch (error) {
    return {
      status: 'failed',
      detail: (error instanceof Error ? (error.stack ?? error.message) : String(error))
        .split('\n')
        .slice(0, 4)
        .join(' | '),
    };
  }
}
