/** A task as `predictor.json` holds it. */
import type { LabelSetColumns } from '@peft/data';
import type { RankingLoss } from '@peft/trainer';
import type { ProblemRecord } from '../settings/problem.js';
import type { ColumnRoles } from './column-roles.js';
import type { ClassifierHead } from './labels/classifier-head.js';

/** What is needed to make a task again: its columns, and its classes or scaling. JSON-safe. */
export type TaskRecord = NamedTaskRecord & {
  /** Column that says which of the adapter's tasks a row is of. */
  readonly taskIdColumn?: string | undefined;
};

type NamedTaskRecord =
  | {
      readonly name: 'classification' | 'regression';
      readonly label: string;
      readonly texts: readonly string[];
      readonly problem: ProblemRecord;
      /** Column of how much each training row counts. */
      readonly weight?: string | undefined;
    }
  | {
      readonly name: 'multi-label-classification';
      readonly labels: LabelSetColumns;
      readonly texts: readonly string[];
      readonly classes: readonly string[];
      /** A row has label c from probability thresholds[c] on. */
      readonly thresholds: readonly number[];
      readonly head: ClassifierHead;
      /** How much a positive of label c counts; none: 1 each. */
      readonly positiveWeights?: readonly number[] | undefined;
      readonly weight?: string | undefined;
    }
  | {
      readonly name: 'token-classification';
      readonly columns: ColumnRoles;
      readonly tags: readonly string[];
    }
  | {
      readonly name: 'ranking';
      readonly columns: ColumnRoles;
      readonly loss: RankingLoss;
      readonly head: ClassifierHead;
    }
  | {
      readonly name: 'preference';
      readonly columns: ColumnRoles;
      /** By its name. */
      readonly loss: string;
    }
  | {
      readonly name: 'grpo';
      readonly columns: ColumnRoles;
    }
  | {
      readonly name: 'reward';
      readonly columns: ColumnRoles;
      readonly head: ClassifierHead;
    }
  | {
      readonly name: 'causal-lm';
      readonly columns: ColumnRoles;
      /** Whether prompts and completions are turns of a conversation. */
      readonly areTurns?: boolean;
    }
  | {
      readonly name: 'seq2seq' | 'embeddings';
      readonly columns: ColumnRoles;
    };

/** The column, or columns, that such a task predicts; undefined for tasks that read columns by roles. */
export function labelOf(record: TaskRecord): string | readonly string[] | undefined {
  if ('label' in record) return record.label;
  if (!('labels' in record)) return undefined;
  return 'columns' in record.labels ? record.labels.columns : record.labels.column;
}
