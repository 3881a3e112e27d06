/**
 * Writing a target from a source with an encoder-decoder: translation, summaries, texts from data.
 */
import { pairData, tableFromRows, type PairBatch, type Table, type TokenData } from '@peft/data';
import { seq2seqLanguageModel } from '@peft/trainer';
import { textsOf, type ColumnRoles } from './column-roles.js';
import type { DataTools, PredictorTask } from './predictor-task.js';
import { taskIdsOf, withTaskIds } from '../data/task-ids.js';
import { tellRows } from '../data/tell-rows.js';
import { textLength } from './text-length.js';
import {
  isTextMetric,
  languageMetric,
  languageScorer,
  tokenEnds,
  writeTexts,
} from './write-texts.js';

/** @param columns by role: `source` and `target`. */
export function pairTask(columns: ColumnRoles): PredictorTask {
  const [source, target] = [columns['source']!, columns['target']!];
  const task = seq2seqLanguageModel();
  const examples = async (table: Table, tools: DataTools): Promise<TokenData<PairBatch>> => {
    const wanted = textsOf(table, target);
    const { signal, settings, base } = tools;
    const data = await pairData(
      textsOf(table, source).map((text, row) => ({ source: text, target: wanted[row]! })),
      base.tokenizer,
      {
        maxSourceLength: textLength(tools),
        maxTargetLength: settings['model.hf_text.max_target_len'],
        startId: tokenEnds(tools).startIds[0]!,
        signal,
      },
    );
    tellRows(tools, table, data, ['model.hf_text.max_target_len']);
    return withTaskIds(data, table, tools);
  };
  return Object.freeze<PredictorTask>({
    name: 'seq2seq',
    record: { name: 'seq2seq', columns },
    columns: [source, target],
    inputs: [source],
    head: () => ({ kind: 'seq2seq-lm' }),
    loss: () => task,
    examples,
    metric: languageMetric,
    writesFor: isTextMetric,
    checkRows: (table) => void [source, target].map((column) => textsOf(table, column)),
    async scorer(table, metrics, tools, writing) {
      const isWritten = metrics.some(isTextMetric);
      return languageScorer(
        {
          task,
          data: await examples(table, tools),
          prompts: isWritten ? textsOf(table, source) : [],
          references: isWritten ? textsOf(table, target) : [],
          taskIds: taskIdsOf(table, tools.taskIdColumn),
        },
        metrics,
        tools,
        writing,
      );
    },
    predict: (table, tools, writing) =>
      writeTexts(textsOf(table, source), tools, writing, {
        taskIds: taskIdsOf(table, tools.taskIdColumn),
      }),
    rowsOfTexts: (texts) =>
      tableFromRows(
        texts.map((text) => ({ [source]: text })),
        'texts',
      ),
  });
}
