/** What a predictor says about rows, as exactly as its task lets it. */
import type { PeftPredictor, PredictorData } from '../src/index.js';

export interface Answers {
  /** One per row: probabilities, numbers, tags, texts, vectors. */
  readonly answers: readonly unknown[];
  readonly scores: Readonly<Record<string, number>>;
}

/** Answers rounded to 5 digits, which every run repeats. */
export async function answersOf(
  predictor: PeftPredictor,
  rows: readonly object[],
): Promise<Answers> {
  const data = rows as PredictorData;
  const made: readonly unknown[] =
    predictor.task === 'classification' || predictor.task === 'multi-label-classification'
      ? await predictor.predictProba(data)
      : await predictor.predict<unknown>(data);
  // rewards are functions, which a saved predictor has none of
  const scores = predictor.task === 'grpo' ? {} : await predictor.evaluate(data);
  const answers = made.map(plain);
  if (predictor.task === 'causal-lm' || predictor.task === 'seq2seq')
    // a small model may write the same to everyone, and yet not find all texts as likely
    for (const [i, row] of rows.entries())
      answers[i] = [answers[i], await predictor.evaluate([row] as PredictorData)];
  return JSON.parse(JSON.stringify({ answers, scores }, rounded)) as Answers;
}

const plain = (answer: unknown): unknown =>
  ArrayBuffer.isView(answer) ? Array.from(answer as Float32Array) : answer;

const rounded = (_key: string, value: unknown): unknown =>
  typeof value === 'number' ? Number(value.toPrecision(5)) : value;
