/**
 * How far the native engine's bf16 mode is from the float32 values of the golden model cases, by
 * family: `node tools/run-source.mjs tools/golden/bfloat16.ts [--fixtures DIR] [--write
 * docs/bfloat16.md]`.
 *
 * Errors are relative: ‖computed − expected‖₂ / ‖expected‖₂ of a tensor. The cases are tiny models
 * with random weights (2 to 4 layers, width 32 to 64); the checkpoints are float32, so the weights'
 * own rounding is in the error.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createNativeEngine } from '@peft/native';
import { ONE_OF_EACH_FORM } from './sections/one-of-each-form.js';
import { check } from './sections/models.js';

export interface BfloatError {
  readonly family: string;
  /** Of the last hidden state. */
  readonly hidden: number;
  readonly logits: number;
  readonly loss: number;
  /** Median and largest over the gradients. */
  readonly gradientMedian: number;
  readonly gradientLargest: number;
  /** Greedy tokens are those of the reference; undefined where the case generates nothing. */
  readonly tokens?: boolean;
}

export function modelCases(fixtures: string): string[] {
  return readdirSync(join(fixtures, 'models')).filter(
    (name) => ONE_OF_EACH_FORM.has(name) && existsSync(join(fixtures, 'models', name, 'case.json')),
  );
}

/** Runs one case in bf16 mode. The native engine must be there. */
export async function measureBfloatError(fixtures: string, family: string): Promise<BfloatError> {
  const engine = createNativeEngine({ precision: 'bfloat16' });
  await engine.activate();
  const errors = new Map<string, number>();
  try {
    await check(join(fixtures, 'models', family), {
      fixtures,
      engine,
      onCompared: (name, actual, expected) =>
        errors.set(name, Math.max(errors.get(name) ?? 0, distance(actual, expected))),
    });
  } finally {
    engine.dispose();
  }
  const of = (pattern: RegExp) =>
    [...errors].filter(([name]) => pattern.test(name)).map(([, error]) => error);
  const gradients = of(/^grad\./).sort((a, b) => a - b);
  const tokens = errors.get('generate.greedy');
  return {
    family,
    hidden: of(/hidden_states?\.\d+$|^last_hidden_state$/).at(-1)!,
    logits: errors.get('logits')!,
    loss: errors.get('loss')!,
    gradientMedian: gradients[Math.floor(gradients.length / 2)]!,
    gradientLargest: gradients.at(-1)!,
    ...(tokens !== undefined && { tokens: tokens === 0 }),
  };
}

/** ‖a − b‖₂ / ‖b‖₂. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < expected.length; i += 1) {
    difference += (actual[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
}

export function errorTable(rows: readonly BfloatError[]): string {
  const percent = (value: number) => `${(100 * value).toPrecision(2)} %`;
  return [
    '| model | last hidden state | logits | loss | gradients, median | gradients, largest | greedy tokens |',
    '|---|---|---|---|---|---|---|',
    ...rows.map(
      (row) =>
        `| ${row.family} | ${percent(row.hidden)} | ${percent(row.logits)} | ` +
        `${percent(row.loss)} | ${percent(row.gradientMedian)} | ${percent(row.gradientLargest)} ` +
        `| ${row.tokens === undefined ? '' : { true: 'equal', false: 'differ' }[`${row.tokens}`]} |`,
    ),
  ].join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      fixtures: {
        type: 'string',
        default: fileURLToPath(new URL('../../packages/testing/fixtures', import.meta.url)),
      },
      write: { type: 'string' },
    },
  });
  const rows: BfloatError[] = [];
  for (const family of modelCases(values.fixtures))
    rows.push(await measureBfloatError(values.fixtures, family));
  const table = errorTable(rows);
  console.log(table);
  if (!values.write) return;
  const page = readFileSync(values.write, 'utf8');
  const [before, after] = ['<!-- errors -->', '<!-- /errors -->'].map((mark) =>
    page.indexOf(mark),
  ) as [number, number];
  if (before < 0 || after < before) throw new Error(`${values.write} has no place for the table`);
  writeFileSync(
    values.write,
    `${page.slice(0, before)}<!-- errors -->\n${table}\n${page.slice(after)}`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
