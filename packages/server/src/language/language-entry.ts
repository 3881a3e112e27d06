/** The thread's own program: one language model, whose texts are made in one batch. */
import { parentPort, workerData } from 'node:worker_threads';
import { PeftError } from '@peft/errors';
import { ContinuousBatch } from '@peft/generation';
import {
  loadLanguageModel,
  loadPredictorPlugins,
  sendError,
  type EngineName,
  type LanguageModel,
} from '@peft/predictor';
import type {
  LanguageAnswer,
  LanguageCard,
  LanguageRequest,
  LanguageStart,
} from './language-messages.js';
import { refuseWithoutCache, ServedAdapters } from './served-adapters.js';
import { TextWriter } from './text-writer.js';

const port = parentPort!;
const say = (answer: LanguageAnswer): void => port.postMessage(answer);
const writing = new Map<number, AbortController>();

/** @throws what opening models and adapters throws; nothing stays allocated then */
async function start(given: LanguageStart): Promise<TextWriter> {
  const language = await loadLanguageModel(given.model, {
    engine: given.engine as EngineName | 'auto' | undefined,
    precision: given.precision as 'auto' | 'bf16' | '32' | undefined,
    threads: given.threads,
    chatTemplate: given.chatTemplate,
    modules: await loadPredictorPlugins(given.plugins),
    alsoFor: Object.values(given.adapters),
    onEvent: (event) => {
      if (event.type === 'run/warned') say({ warned: event.message });
    },
  });
  try {
    refuseStacked(language, given.model);
    if (language.adapter !== undefined) refuseWithoutCache(language.model, language.adapter);
    const adapters = new ServedAdapters(language, given.maxAdapters);
    for (const [name, folder] of Object.entries(given.adapters)) await adapters.load(name, folder);
    const contextTokens = Math.min(
      given.contextTokens ?? Number.POSITIVE_INFINITY,
      language.model.description.maxPositions ?? Number.POSITIVE_INFINITY,
      given.batch.maxCacheTokens ?? Number.POSITIVE_INFINITY,
    );
    const batch = new ContinuousBatch(language.model, given.batch);
    return new TextWriter(language, adapters, batch, contextTokens);
  } catch (error) {
    language.dispose();
    throw error;
  }
}

/** @throws PEFT_CONFIG_UNSUPPORTED for adapters on top of each other: a text has one of its own */
function refuseStacked({ model }: LanguageModel, reference: string): void {
  if (model.activeAdapters.length > 1)
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `server: the adapter of ${reference} stands on another one, and a served text has one adapter.`,
      { hint: 'merge the model first (peft merge), and serve that' },
    );
}

function cardOf({ language, contextTokens }: TextWriter): LanguageCard {
  return {
    modelType: language.model.description.modelType,
    engine: language.model.engine.description,
    contextTokens,
    hasChatTemplate: hasTemplate(language),
  };
}

function hasTemplate(language: LanguageModel): boolean {
  try {
    language.chatTemplate();
    return true;
  } catch {
    return false; // a chat is refused with the reason when it is asked for
  }
}

async function answer(writer: TextWriter, request: LanguageRequest): Promise<void> {
  if ('abort' in request) return writing.get(request.abort)?.abort();
  const { id } = request;
  try {
    say({ id, value: await valueOf(writer, request) });
  } catch (error) {
    say({ id, error: sendError(error) });
  } finally {
    writing.delete(id);
  }
}

async function valueOf(
  writer: TextWriter,
  request: Exclude<LanguageRequest, { readonly abort: number }>,
): Promise<unknown> {
  const { id } = request;
  if ('generate' in request) {
    const controller = new AbortController();
    writing.set(id, controller);
    return writer.write(request.generate, controller.signal, (piece) => say({ id, piece }));
  }
  if ('load' in request) return writer.adapters.load(request.load.name, request.load.folder);
  if ('unload' in request) return writer.adapters.unload(request.unload);
  const { running, waiting, cacheBytes } = writer.batch;
  return { running, waiting, cacheBytes };
}

try {
  const writer = await start(workerData as LanguageStart);
  port.on('message', (request: LanguageRequest) => void answer(writer, request));
  say({ ready: cardOf(writer) });
} catch (error) {
  say({ failed: sendError(error) });
  port.close();
}
