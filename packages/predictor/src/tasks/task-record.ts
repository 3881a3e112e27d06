/** A task as `predictor.json` holds it. */
import type { ProblemRecord } from '../settings/problem.js';
import type { ColumnRoles } from './column-roles.js';

/** What is needed to make a task again: its columns, and its classes or scaling. JSON-safe. */
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
