/** What the studio's thread does: tables are read, tokenised and scored beside the page, not in its way. */
import type { JsonObject } from '@peft/hub';
import { previewStart } from '../start/preview-start.js';
import type { RunRequests } from '../studio-options.js';
import { previewTable, type TableReading } from '../tables/preview-table.js';
import { scoreRun } from '../results/score-run.js';
import type { ScoreReport, StartPreview, TablePreview } from '../api-types.js';

/** Arguments and answers cross by structured cloning. */
export interface ThreadCalls {
  table(path: string, reading: TableReading): Promise<TablePreview>;
  preview(request: JsonObject): Promise<StartPreview>;
  /** @param table undefined for the rows that the run held out. */
  score(path: string, table: string | undefined): Promise<ScoreReport>;
}

export const threadCalls = (requests: RunRequests): ThreadCalls => ({
  table: previewTable,
  preview: (request) => {
    const { train, predictor, fit } = requests.call(request);
    return previewStart(train, predictor, fit);
  },
  score: (path, table) => scoreRun(requests, path, table),
});
