/** The model that is tried: one at a time, in a thread of its own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError } from '@peft/errors';
import { readJsonObject, type JsonObject } from '@peft/hub';
import {
  loadPredictorThread,
  type PredictorDescription,
  type PredictorThread,
} from '@peft/predictor';
import { createServer, type PeftServer } from '@peft/server';
import type { OpenModel, TriedRow } from '../api-types.js';
import type { RunIndex } from '../runs/run-index.js';

/** What clients ask for to hear the model without an adapter. */
export const BASE = 'base';
/** The longest that a model that is no longer tried may take to end. */
const CLOSE_MS = 1000;

type Opened = { readonly key: string; close(): Promise<void> } & (
  | {
      readonly kind: 'predictor';
      readonly thread: PredictorThread;
      readonly description: PredictorDescription;
    }
  | { readonly kind: 'language'; readonly server: PeftServer; readonly voices: readonly string[] }
);

export class OpenedModels {
  readonly #index: RunIndex;
  #opened: Promise<Opened> | undefined;
  #key: string | undefined;

  constructor(index: RunIndex) {
    this.#index = index;
  }

  /**
   * Loads the model of a run; of language models the adapters of several on the base of the first.
   * What was open before is freed.
   * @throws PEFT_STUDIO_RUN, and what loading models throws
   */
  async open(ids: readonly string[]): Promise<OpenModel> {
    const key = ids.join('\n');
    if (this.#key !== key) {
      await this.close();
      this.#key = key;
      this.#opened = this.#load(key, ids);
      this.#opened.catch(() => {
        if (this.#key === key) this.#key = undefined;
      });
    }
    const opened = await this.#opened!;
    if (opened.kind === 'predictor') {
      const { task, textColumns } = opened.description;
      return { kind: 'predictor', task, inputs: textColumns };
    }
    const { served } = opened.server;
    return {
      kind: 'language',
      voices: opened.voices,
      hasChatTemplate: served.kind === 'language' && served.thread.card.hasChatTemplate,
    };
  }

  /** What the open predictor makes of a row. @throws PEFT_STUDIO_MODEL when none is open */
  async predict(row: JsonObject): Promise<TriedRow> {
    const opened = await this.#opened;
    if (opened?.kind !== 'predictor') throw notOpen();
    const { thread, description } = opened;
    const { classLabels } = description;
    if (description.task === 'classification' && classLabels) {
      const [values] = await thread.predictProba([row]);
      const probabilities = classLabels.map((label, at) => ({
        label: String(label),
        probability: values![at]!,
      }));
      return { probabilities: probabilities.sort((a, b) => b.probability - a.probability) };
    }
    const [answer] = await thread.predict<unknown>([row]);
    return { answer: shown(answer) };
  }

  /** Passes a request of OpenAI's API on. @throws PEFT_STUDIO_MODEL when no language model is open */
  async ask(path: string, body: string, signal: AbortSignal): Promise<Response> {
    const opened = await this.#opened;
    if (opened?.kind !== 'language') throw notOpen();
    return opened.server.fetch(
      new Request(`http://studio${path}`, { method: 'POST', body, signal }),
    );
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    this.#key = undefined;
    await opened?.then(
      (model) => model.close(),
      () => undefined, // whoever opened it was told
    );
  }

  async #load(key: string, ids: readonly string[]): Promise<Opened> {
    const [first, ...others] = ids.map((id) => ({ id, path: this.#index.pathOf(id) }));
    if (first === undefined) throw notOpen();
    const saved = readJsonObject(join(first.path, 'predictor.json')) ?? {};
    const { name: task } = (saved['task'] ?? {}) as { readonly name?: unknown };
    if (task !== 'causal-lm') {
      const thread = await loadPredictorThread(first.path);
      const description = await thread.describe();
      return { key, kind: 'predictor', thread, description, close: () => thread.dispose() };
    }
    const runs = [first, ...others];
    const server = await createServer({
      model: baseOf(first.path, saved),
      name: BASE,
      adapters: Object.fromEntries(runs.map(({ id, path }) => [id, path])),
    });
    const voices = [...runs.map(({ id }) => id), BASE];
    return { key, kind: 'language', server, voices, close: () => server.close(CLOSE_MS) };
  }
}

/** The copy of the base in the run's folder, or where it came from. */
function baseOf(path: string, saved: JsonObject): string {
  const { reference, isIncluded } = (saved['base'] ?? {}) as {
    readonly reference?: unknown;
    readonly isIncluded?: unknown;
  };
  const copy = join(path, 'model');
  if (isIncluded === true && existsSync(copy)) return copy;
  return String(reference);
}

const notOpen = (): PeftError =>
  new PeftError('PEFT_STUDIO_MODEL', 'studio: no such model is open to be tried.', {
    hint: 'open a finished run first',
  });

function shown(answer: unknown): string {
  if (typeof answer === 'string') return answer;
  if (ArrayBuffer.isView(answer)) return JSON.stringify(Array.from(answer as Float32Array));
  return Array.isArray(answer) ? answer.join(' ') : JSON.stringify(answer);
}
