/** The results as Markdown: a page of their own, and the cells that docs/methods.md shows. */
import { COMPARED } from './compared.js';
import { bestLearningRate, chosenRuns, type MethodResult, type Results } from './results.js';

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
/** Of a sample; 0 for one value. */
const deviation = (values: readonly number[]): number => {
  const middle = mean(values);
  const squares = values.map((value) => (value - middle) ** 2);
  return Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length - 1));
};

/** Score, learning rate, trainable parameters, processor seconds and memory of a row. */
export function resultCells(result: MethodResult | undefined): readonly string[] | undefined {
  if (!result || result.runs.length === 0) return undefined;
  const runs = chosenRuns(result);
  const scores = runs.map(({ test }) => test);
  const peak = Math.max(...result.runs.map(({ peakMemoryBytes = 0 }) => peakMemoryBytes));
  return [
    `${mean(scores).toFixed(3)} ± ${deviation(scores).toFixed(3)}`,
    `${bestLearningRate(result.runs)}`,
    result.trainableParameters!.toLocaleString('en'),
    mean(runs.map(({ processorSeconds }) => processorSeconds)).toFixed(1),
    `${(peak / 1e6).toFixed(0)}`,
  ];
}

/** The headings of {@link resultCells}. */
export const RESULT_HEADINGS = [
  'accuracy',
  'learning rate',
  'trainable',
  'processor s',
  'MB',
] as const;

/** What the columns mean and what was measured, as a paragraph. */
export function resultsPreface({ budget, machine }: Results): string {
  const { rows, epochs, batch, length, learningRates, seeds } = budget;
  return (
    "The quickstart's encoder (10.6 million parameters) learns seven topics from " +
    `${rows} of its English rows: ${epochs === 1 ? 'one epoch' : `${epochs} epochs`}, batches of ${batch}, ` +
    `at most ${length} tokens, every method with its default options and targets. The learning rate is the best of ${learningRates.join(', ')} by the 99 dev ` +
    `rows with seed ${seeds[0]}; the accuracy is that on the 204 test rows, mean ± standard deviation over seeds ` +
    `${seeds.join(', ')}. Trained parameters include the head. Processor seconds are those of fitting on one thread, ` +
    "loading included; MB is the process's peak in its first run, Node included. " +
    `One machine: ${machine}. A test row is 0.005 of accuracy; so short a training tells how fast a method starts, ` +
    'not how far it comes.'
  );
}

/** A row for each that trained, the best first, and why others did not. */
export function comparisonTable(results: Results): string[] {
  const rows = COMPARED.flatMap(({ name }) => {
    const cells = resultCells(results.methods[name]);
    return cells ? [{ score: cells[0]!, line: `| ${[name, ...cells].join(' | ')} |` }] : [];
  }).sort((a, b) => (a.score < b.score ? 1 : -1));
  const refused = COMPARED.flatMap(({ name }) => {
    const reason = results.methods[name]?.refused?.split('\n')[0];
    return reason === undefined ? [] : [`\`${name}\` (${reason.replace(/^\w+: /, '')})`];
  });
  const missing = COMPARED.filter(({ name }) => !results.methods[name]).map(
    ({ name }) => `\`${name}\``,
  );
  return [
    `| ${['method', ...RESULT_HEADINGS].join(' | ')} |`,
    `|---|${RESULT_HEADINGS.map(() => '---:|').join('')}`,
    ...rows.map(({ line }) => line),
    '',
    ...(refused.length > 0 ? [`Not on this model, or not alone: ${refused.join('; ')}.`, ''] : []),
    ...(missing.length > 0 ? [`Not measured yet: ${missing.join(', ')}.`, ''] : []),
  ];
}
