/** Scores a saved model on a table, or on the rows that were held out when it was trained. */
import { basename } from 'node:path';
import { getMetric, type MetricInput, type Table } from '@peft/data';
import { PeftError } from '@peft/errors';
import { PeftPredictor, previewFitData } from '@peft/predictor';
import type { ClassReport, NumberReport, ScoreReport } from '../api-types.js';
import { recordIn } from '../runs/run-details.js';
import type { RunRequests } from '../studio-options.js';
import { classReport, likeliest } from './class-report.js';

const LANGUAGE_NAMES = /^(lang|language|locale)$/i;
const SHOWN_POINTS = 400;
const SHOWN_MISTAKES = 50;
const CLASS_SCORES = ['accuracy', 'f1_macro', 'mcc'] as const;
const NUMBER_SCORES = ['root_mean_squared_error', 'mean_absolute_error', 'r2'] as const;

/**
 * @param path the run's folder
 * @param table undefined for the rows that were held out
 * @throws PEFT_STUDIO_ROWS where these cannot be told any more; what loading and scoring throws
 */
export async function scoreRun(
  requests: RunRequests,
  path: string,
  table: string | undefined,
): Promise<ScoreReport> {
  const predictor = await PeftPredictor.load(path);
  try {
    const data =
      table === undefined ? await heldOutRows(requests, path) : await predictor.readRows(table);
    const name = table === undefined ? 'held-out rows' : basename(table);
    return { name, rows: data.rows, ...(await reportOf(predictor, data)) };
  } finally {
    predictor.dispose();
  }
}

/** The rows that the run was validated on, split off again as it did, and compared by their hash. */
async function heldOutRows(requests: RunRequests, path: string): Promise<Table> {
  const record = recordIn(path);
  const lost = (why: string): PeftError =>
    new PeftError('PEFT_STUDIO_ROWS', `studio: the held-out rows are not known: ${why}.`, {
      hint: 'choose a table to score the model on',
    });
  if (!record?.request) throw lost('the run does not say what it was asked for');
  const { train, predictor, fit } = requests.call(record.request);
  const { validation, hashes } = await previewFitData(predictor, train, fit);
  const then = record.data?.['validation'] as { readonly sha256?: unknown } | undefined;
  if (then?.sha256 !== hashes.validation) throw lost(`${train} is not what it was`);
  return validation;
}

type Report = Omit<ScoreReport, 'name' | 'rows'>;

async function reportOf(predictor: PeftPredictor, table: Table): Promise<Report> {
  const { task, problemType, classLabels, label } = predictor;
  if (typeof label === 'string' && task === 'classification' && classLabels)
    return classesOf(predictor, table, label, classLabels.map(String));
  if (typeof label === 'string' && problemType === 'regression')
    return numbersOf(predictor, table, label);
  return { scores: await predictor.evaluate(table) };
}

async function classesOf(
  predictor: PeftPredictor,
  table: Table,
  label: string,
  labels: readonly string[],
): Promise<Report> {
  const actual = table.column(label).map((cell) => labels.indexOf(String(cell)));
  const unknown = actual.indexOf(-1);
  if (unknown >= 0)
    throw new PeftError(
      'PEFT_LABEL_UNKNOWN',
      `studio: row ${unknown} of ${table.source} has the label ${String(table.column(label)[unknown])}, which training did not have.`,
    );
  const probabilities = await predictor.predictProba(table);
  const predictions = probabilities.map(likeliest);
  const scores = scoresOf(CLASS_SCORES, {
    labels: actual,
    predictions,
    classCount: labels.length,
  });
  const classes: ClassReport = classReport({
    labels,
    actual,
    probabilities,
    textOf: textsOf(predictor, table),
  });
  const isRight = actual.map((each, row) => (each === predictions[row] ? 1 : 0));
  const area = classes.curves && { roc_auc: classes.curves.area };
  return { scores: { ...scores, ...area }, classes, byLanguage: byLanguage(table, isRight) };
}

async function numbersOf(predictor: PeftPredictor, table: Table, label: string): Promise<Report> {
  const labels = table.column(label).map(Number);
  const predictions = await predictor.predict<number>(table);
  const scores = scoresOf(NUMBER_SCORES, { labels, predictions });
  const textOf = textsOf(predictor, table);
  const rows = labels.map((actual, row) => ({ actual, predicted: predictions[row]!, row }));
  const stride = Math.max(1, Math.ceil(rows.length / SHOWN_POINTS));
  const off = ({ actual, predicted }: (typeof rows)[number]): number =>
    Math.abs(actual - predicted);
  const numbers: NumberReport = {
    points: rows
      .filter((_, at) => at % stride === 0)
      .map(({ actual, predicted }) => ({ actual, predicted })),
    mistakes: [...rows]
      .sort((a, b) => off(b) - off(a))
      .slice(0, SHOWN_MISTAKES)
      .map(({ row, actual, predicted }) => ({ text: textOf(row), actual, predicted })),
  };
  return { scores, numbers };
}

/** Those that have a value on these rows. */
function scoresOf(names: readonly string[], input: MetricInput): ScoreReport['scores'] {
  const scores: [string, number][] = [];
  for (const name of names) {
    try {
      scores.push([name, getMetric(name).compute(input)]);
    } catch (error) {
      if (!(error instanceof PeftError) || error.code !== 'PEFT_METRIC_UNDEFINED') throw error;
    }
  }
  return Object.fromEntries(scores);
}

/** Share of right rows for each language that a column names. */
function byLanguage(table: Table, isRight: readonly number[]): ScoreReport['byLanguage'] {
  const column = table.columns.find((name) => LANGUAGE_NAMES.test(name));
  if (column === undefined) return undefined;
  const groups = new Map<string, { rows: number; right: number }>();
  table.values(column).forEach((cell, row) => {
    const { rows, right } = groups.get(String(cell)) ?? { rows: 0, right: 0 };
    groups.set(String(cell), { rows: rows + 1, right: right + isRight[row]! });
  });
  return [...groups].map(([language, { rows, right }]) => ({
    language,
    rows,
    score: right / rows,
  }));
}

const textsOf =
  ({ textColumns }: PeftPredictor, table: Table) =>
  (row: number): string =>
    textColumns.map((column) => String(table.values(column)[row])).join('\n');
