/** Language models that learn from preferences: pairs of answers, or single ones with labels. */
import { tableFromRows, turnEndIds, type Table } from '@peft/data';
import { fileReferenceCache, hashWeights, type ReferenceCache } from '@peft/preference';
import { predict } from '@peft/trainer';
import { runSizes } from '../../fit/run-plan.js';
import type { Hyperparameters } from '../../settings/hyperparameter-types.js';
import { chatTemplateOf } from '../../model/chat-template.js';
import { withStore, type BaseModel } from '../../model/base-model.js';
import type { ColumnRoles } from '../column-roles.js';
import type { PredictorTask } from '../predictor-task.js';
import type { TaskRecord } from '../task-record.js';
import { writeTexts } from '../write-texts.js';
import { answerRows } from './answer-rows.js';
import { preferenceMetric } from './preference-metrics.js';
import { promptsOf, writtenPrompt } from './prompts.js';

const NAME = 'preference';

export type PreferenceRecord = Extract<TaskRecord, { name: 'preference' }>;

/**
 * The task that a fit's settings ask for.
 * @throws PEFT_CONFIG_INVALID for settings that its loss does not read, or columns that do not feed it
 */
export function fitPreferenceTask(columns: ColumnRoles, settings: Hyperparameters): PredictorTask {
  const task = preferenceTask({ name: NAME, columns, loss: settings['optim.preference_loss'] });
  task.loss(settings);
  return task;
}

/**
 * @param record columns by role: `chosen` and `rejected` with a `prompt` or without, or `prompt`,
 *   `completion` and `label`.
 */
export function preferenceTask(record: PreferenceRecord, cache?: ReferenceCache): PredictorTask {
  const { columns } = record;
  const rows = answerRows(columns, record.loss, cache);
  const input = columns['prompt'] ?? 'prompt';
  return Object.freeze<PredictorTask>({
    name: NAME,
    record,
    columns: Object.values(columns),
    inputs: [input],
    head: () => ({ kind: 'causal-lm' }),
    forBase: (base, settings) => preferenceTask(record, cacheOf(base, settings) ?? cache),
    loss: rows.task,
    examples: rows.examples,
    metric: preferenceMetric,
    checkRows: rows.check,
    comparesWithBase: () => rows.hasReference,
    async scorer(table, _, tools) {
      const data = await rows.examples(table, tools);
      return async (signal) => {
        const { predictions, loss } = await predict(tools.model, rows.task(tools.settings), data, {
          batchSize: runSizes(tools.settings).evaluationBatchSize,
          withLoss: true,
          signal,
        });
        return {
          metrics: { loss: loss!, ...rows.score(predictions, data) },
          examples: predictions.length,
        };
      };
    },
    predict: (table, tools, writing) => {
      const asked = promptsOf(table, input);
      const isChat = asked.some((prompt) => typeof prompt !== 'string');
      return writeTexts(
        asked.map((prompt) => writtenPrompt(prompt, tools)),
        tools,
        writing,
        { endIds: isChat ? turnEndIds(chatTemplateOf(tools), tools.base.tokenizer) : [] },
      );
    },
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({ [input]: text })),
        'texts',
      ),
    groups: columns['prompt'] === undefined ? undefined : (table) => groupsOf(table, input),
  });
}

/** On disk, where the settings name a folder: every byte of the base's weights is read once for it. */
function cacheOf(base: BaseModel, settings: Hyperparameters): ReferenceCache | undefined {
  const folder = settings['optim.reference_cache'] ?? null; // folders of earlier versions have none
  return folder === null
    ? undefined
    : fileReferenceCache(folder, withStore(base.folder, hashWeights));
}

/** Rows of one prompt stay on one side of a split. */
const groupsOf = (table: Table, column: string): string[] =>
  table.values(column).map((cell) => JSON.stringify(cell));
