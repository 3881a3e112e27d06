/**
 * Loads saved predictors in a process of its own: `load-in-child.ts FILE`, a JSON list of `{
 * folder, rows }`. Prints a line of JSON for each: its answers and scores, or its error.
 */
import { readFileSync } from 'node:fs';
import { PeftPredictor } from '../src/index.js';
import { answersOf, type Answers } from './answers.js';

export interface SavedCase {
  readonly folder: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}
export type LoadedCase = Answers | { readonly error: string };

const cases = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as readonly SavedCase[];
for (const { folder, rows } of cases) {
  let line: LoadedCase;
  try {
    const predictor = await PeftPredictor.load(folder, { engine: 'portable' });
    line = await answersOf(predictor, rows);
    predictor.dispose();
  } catch (error) {
    line = { error: (error as Error).message };
  }
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
