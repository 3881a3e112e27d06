import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import { readJsonObject } from '@peft/hub';
import { CHECKPOINT_FOLDER, RECORD_FILE } from './predictor-folder.js';
import { parseRecord, type PredictorRecord } from './predictor-record.js';

/**
 * What a folder says of the predictor that was saved in it.
 * @throws PEFT_PREDICTOR_MISSING, PEFT_PREDICTOR_INVALID, PEFT_PREDICTOR_VERSION
 */
export function readRecord(path: string): PredictorRecord {
  const file = join(path, RECORD_FILE);
  const json = statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? readJsonObject(file)
    : undefined;
  if (json) return parseRecord(json, file);
  const isUnfinished = existsSync(join(path, CHECKPOINT_FOLDER));
  throw new PeftError(
    'PEFT_PREDICTOR_MISSING',
    `predictor: ${resolve(path)} holds no ${RECORD_FILE}.`,
    {
      hint: isUnfinished
        ? 'a run there did not finish: go on with fit(…, { resume: true })'
        : 'give the folder that fit or save wrote',
    },
  );
}
