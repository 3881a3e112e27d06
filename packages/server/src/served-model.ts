/** The model behind a server: texts or predictions, each made in a thread of its own. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError } from '@peft/errors';
import {
  loadPredictorThread,
  type EngineName,
  type PredictorDescription,
  type PredictorThread,
  writesTexts,
  type TaskName,
} from '@peft/predictor';
import { startLanguageThread, type LanguageThread } from './language/language-thread.js';
import { OneByOne } from './tasks/one-by-one.js';
import type { ResolvedServerOptions } from './server-options.js';

/** A language model in a thread of its own. */
export interface ServedLanguage {
  readonly kind: 'language';
  readonly thread: LanguageThread;
}

/** A classifier, regressor, tagger, ranker or embedding model in a thread of its own. */
export interface ServedPredictor {
  readonly kind: 'predictor';
  readonly thread: PredictorThread;
  readonly description: PredictorDescription;
  /** A predictor takes one call at a time. */
  readonly queue: OneByOne;
}

/** What a server serves: a language model, or a predictor of any other task. */
export type ServedModel = ServedLanguage | ServedPredictor;

/**
 * @throws PEFT_CONFIG_INVALID for adapters beside a model that writes no text, and what loading models throws
 */
export async function openServedModel(
  options: ResolvedServerOptions,
  onWarning: (message: string) => void,
): Promise<ServedModel> {
  const task = savedTask(options.model);
  if (task === undefined || writesTexts(task as TaskName)) return openLanguage(options, onWarning);
  if (Object.keys(options.adapters).length > 0 || options.adapterRoot !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `server: ${options.model} was trained for ${task}; adapters go beside a language model.`,
      { hint: 'leave out adapters, or serve each in a server of its own' },
    );
  const thread = await loadPredictorThread(
    options.model,
    {
      engine: options.engine as EngineName | 'auto' | undefined,
      precision: options.precision as 'auto' | 'bf16' | '32' | undefined,
      threads: options.threads,
      plugins: options.plugins,
    },
    {
      onEvent: (event) => {
        if (event.type === 'run/warned') onWarning(event.message);
      },
    },
  );
  options.signal?.throwIfAborted();
  const description = await thread.describe();
  return { kind: 'predictor', thread, description, queue: new OneByOne(options.maxWaiting) };
}

async function openLanguage(
  options: ResolvedServerOptions,
  onWarning: (message: string) => void,
): Promise<ServedLanguage> {
  const { model, adapters, engine, precision, threads, chatTemplate, contextTokens } = options;
  const { maxSequences, maxCacheTokens, maxWaiting, prefillTokens, maxAdapters } = options;
  const thread = await startLanguageThread(
    {
      model,
      adapters,
      engine,
      precision,
      threads,
      chatTemplate,
      plugins: options.plugins,
      contextTokens,
      maxAdapters,
      batch: { maxSequences, maxCacheTokens, maxWaiting, prefillTokens },
    },
    onWarning,
    options.signal,
  );
  return { kind: 'language', thread };
}

/** What a folder of `fit` was trained for; undefined for a checkpoint. Loading checks the file. */
function savedTask(model: string): string | undefined {
  const file = join(model, 'predictor.json');
  if (!existsSync(file)) return undefined;
  try {
    const { task } = JSON.parse(readFileSync(file, 'utf8')) as { task?: { name?: string } };
    return task?.name ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
