/** Makes the task of a record again. */
import type { Metric } from '@peft/data';
import { restoreProblem } from '../settings/problem.js';
import { causalTask } from './causal/causal-task.js';
import { embeddingTask } from './embeddings/embedding-task.js';
import { multiLabelTask } from './labels/multi-label-task.js';
import { pairTask } from './pair-task.js';
import { preferenceTask } from './preference/preference-task.js';
import { grpoTask } from './preference/grpo-task.js';
import { rewardTask } from './preference/reward-task.js';
import type { PredictorTask } from './predictor-task.js';
import { tableTask } from './table-task.js';
import { tagTask } from './tag-task.js';
import { rankingTask } from './ranking/ranking-task.js';
import { taskOfSeveral } from './task-of-several.js';
import type { TaskRecord } from './task-record.js';

/** @param metrics of classes and numbers that may be named. */
export function restoreTask(record: TaskRecord, metrics: readonly Metric[]): PredictorTask {
  const { taskIdColumn } = record;
  const task = restoreNamed(record, metrics);
  return taskIdColumn === undefined ? task : taskOfSeveral(task, taskIdColumn);
}

function restoreNamed(record: TaskRecord, metrics: readonly Metric[]): PredictorTask {
  switch (record.name) {
    case 'classification':
    case 'regression':
      return tableTask(
        record.label,
        record.texts,
        restoreProblem(record.problem),
        metrics,
        record.weight,
      );
    case 'multi-label-classification':
      return multiLabelTask(record);
    case 'token-classification':
      return tagTask(record.columns, record.tags);
    case 'causal-lm':
      return causalTask(record.columns, record.areTurns);
    case 'seq2seq':
      return pairTask(record.columns);
    case 'ranking':
      return rankingTask(record);
    case 'preference':
      return preferenceTask(record);
    case 'grpo':
      return grpoTask(record, { rewards: [] });
    case 'reward':
      return rewardTask(record);
    case 'embeddings':
      return embeddingTask(record.columns);
  }
}
