/** The tiny run with its optimiser state in a page file and a checkpoint every second step. */
import { join } from 'node:path';
import type { Model } from '@peft/core';
import { pagedStateStore } from '@peft/optim';
import { folderCheckpointStore } from '../src/index.js';
import { tinyRun, type TinyRun } from './tiny-run.js';

/** Pages go into `folder/pages`, checkpoints into `folder/checkpoints`. */
export const pagedRun = (model: Model, folder: string): TinyRun =>
  tinyRun(model, {
    store: folderCheckpointStore(join(folder, 'checkpoints')),
    stateStore: pagedStateStore({
      residentBytes: 0,
      pageBytes: 2048,
      directory: join(folder, 'pages'),
    }),
    options: { checkpointEverySteps: 2, resume: true },
  });
