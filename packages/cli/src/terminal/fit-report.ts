/** What a fit prints when it is done. */
import {
  isWritingDecoder,
  writesTexts,
  type FitSummary,
  type Scores,
  type TaskName,
} from '@peft/predictor';
import { bytes, count, duration, table } from './format.js';

/** Scores of a fitted model on one test table. */
export interface TestScores {
  readonly table: string;
  readonly scores: Scores;
}

interface FitResult {
  readonly output: string;
  readonly task: TaskName | undefined;
  /** The model learnt conversations. */
  readonly isChat: boolean;
}

/** Score, tests, where the model lies, and last what to type next. */
export const fitReport = (
  summary: FitSummary,
  tests: readonly TestScores[],
  result: FitResult,
): string =>
  [
    scoreLine(summary),
    ...averageLines(summary),
    ...testLines(tests),
    ...exportLines(result),
    `saved to ${result.output}; use it with: ${nextCommand(result)}`,
  ].join('\n');

function scoreLine(summary: FitSummary): string {
  const { metric, validationScore, validationRows, steps, trainingSeconds } = summary;
  const planned =
    summary.plannedPeakBytes === undefined ? '' : `, ${bytes(summary.plannedPeakBytes)} planned`;
  return [
    `${metric} ${validationScore.toFixed(4)} on ${count(validationRows)} validation rows`,
    `after ${count(steps)} steps in ${duration(trainingSeconds)}`,
  ]
    .join(', ')
    .concat(` (at most ${bytes(summary.peakMemoryBytes)} of memory${planned})`);
}

/** Each check scored the weights of its own step; the saved ones are a mean of several. */
function averageLines({ averagedSteps }: FitSummary): string[] {
  if (averagedSteps.length < 2) return [];
  const steps = [...averagedSteps].sort((a, b) => a - b).join(', ');
  return [
    `  the saved weights are the mean of those after steps ${steps} (a model soup): this ` +
      'score is theirs, not that of one check',
  ];
}

function testLines(tests: readonly TestScores[]): string[] {
  const [first] = tests;
  if (!first) return [];
  const rows = tests.map(({ table: name, scores }) => [
    name,
    ...Object.values(scores).map((score) => score.toFixed(4)),
  ]);
  return ['', table([['test', ...Object.keys(first.scores)], ...rows]), ''];
}

/** Of models that other tools run. */
const exportLines = ({ output, task }: FitResult): string[] =>
  isWritingDecoder(task)
    ? [
        `to run it elsewhere (llama.cpp, Ollama, vLLM …): peft export ${output} --to gguf -o FILE.gguf`,
      ]
    : [];

function nextCommand({ output, task, isChat }: FitResult): string {
  if (isChat) return `peft chat ${output}`;
  if (writesTexts(task)) return `peft generate ${output} --prompt TEXT`;
  if (task === 'ranking') return `peft rank ${output} TABLE --query TEXT`;
  return `peft predict ${output} TABLE`;
}
