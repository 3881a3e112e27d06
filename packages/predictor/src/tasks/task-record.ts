/** A task as `predictor.json` holds it, and made again from it. */
import type { Metric } from '@peft/data';
import { restoreProblem, type ProblemRecord } from '../settings/problem.js';
import { causalTask } from './causal-task.js';
import type { ColumnRoles } from './column-roles.js';
import { embeddingTask } from './embedding-task.js';
import { pairTask } from './pair-task.js';
import type { PredictorTask } from './predictor-task.js';
import { tableTask } from './table-task.js';
import { tagTask } from './tag-task.js';

export type TaskRecord =
  | {
      readonly name: 'classification' | 'regression';
      readonly label: string;
      readonly texts: readonly string[];
      readonly problem: ProblemRecord;
    }
  | {
      readonly name: 'token-classification';
      readonly columns: ColumnRoles;
      readonly tags: readonly string[];
    }
  | { readonly name: 'causal-lm' | 'seq2seq' | 'embeddings'; readonly columns: ColumnRoles };

/** @param metrics of classes and numbers that may be named. */
export function restoreTask(record: TaskRecord, metrics: readonly Metric[]): PredictorTask {
  switch (record.name) {
    case 'classification':
    case 'regression':
      return tableTask(record.label, record.texts, restoreProblem(record.problem), metrics);
    case 'token-classification':
      return tagTask(record.columns, record.tags);
    case 'causal-lm':
      return causalTask(record.columns);
    case 'seq2seq':
      return pairTask(record.columns);
    case 'embeddings':
      return embeddingTask(record.columns);
  }
}
