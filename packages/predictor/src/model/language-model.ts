/**
 * A model that writes, opened for use: a checkpoint with an adapter if wanted, or what a predictor
 * saved.
 */
import type { HeadOptions, Model } from '@peft/core';
import { chatTemplateSource } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { revisionOfFolder } from '@peft/hub';
import { writesTexts } from '../tasks/task-names.js';
import type { LoadOptions } from '../settings/predictor-types.js';
import type { BaseModel } from './base-model.js';
import { addLanguageAdapter } from './language-adapter.js';
import { textsOfBase, type LanguageTexts } from './language-texts.js';
import {
  isSavedPredictor,
  openCheckpoint,
  opening,
  openSaved,
  type OpeningTools,
} from './open-model.js';
import { disposeState, type PredictorState } from './predictor-state.js';

/** A language model that is open: model, tokeniser, template, and adapters by name. */
export interface LanguageModel extends LanguageTexts {
  readonly model: Model;
  /** The base model's `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The adapter that the folder came with or that was asked for, by its name on the model. */
  readonly adapter: string | undefined;
  /**
   * Puts a further adapter on the model: a folder in PEFT's layout, or one that `fit` saved for this
   * base model.
   * @returns how its texts are written: tokenizer and chat template are the adapter's own where its
   *   folder has them
   * @throws PEFT_ADAPTER_MISMATCH, PEFT_ADAPTER_NAME, and what `loadAdapter` throws
   */
  addAdapter(name: string, folder: string): Promise<LanguageTexts>;
  /** Frees model and engine. */
  dispose(): void;
}

/** How a language model is opened. */
export interface LanguageModelOptions extends Pick<
  LoadOptions,
  'engine' | 'precision' | 'threads' | 'signal' | 'onEvent' | 'modules' | 'onListenerError'
> {
  /** Folder of an adapter for the model. */
  readonly adapter?: string;
  /** Branch, tag or commit of a checkpoint on the hub, as in `NAME@REVISION`. */
  readonly revision?: string;
  /** Name or file of a chat template instead of the checkpoint's own. */
  readonly chatTemplate?: string;
  /**
   * Folders of adapters that `addAdapter` will put on a checkpoint: it gets rows for the tokens that
   * they bring along. Not for a folder that was saved with an adapter.
   */
  readonly alsoFor?: readonly string[];
}

/**
 * @param reference a folder or hub id of a checkpoint with a causal or encoder-decoder language
 *   model, or a folder that `PeftPredictor` saved.
 * @throws PEFT_MODEL_HEAD when the family writes no text, PEFT_CONFIG_INVALID, and what opening
 *   models, adapters and predictors throws; nothing stays allocated then
 */
export async function loadLanguageModel(
  reference: string,
  options: LanguageModelOptions = {},
): Promise<LanguageModel> {
  check.knownKeys('loadLanguageModel', options, [
    'engine',
    'precision',
    'threads',
    'signal',
    'onEvent',
    'modules',
    'onListenerError',
    'adapter',
    'revision',
    'chatTemplate',
    'alsoFor',
  ]);
  return opening(options, async (tools) => {
    const opened = isSavedPredictor(reference)
      ? await openWriter(reference, options, tools)
      : await openCheckpoint(reference, options, headOf, tools);
    const source =
      options.chatTemplate === undefined ? undefined : chatTemplateSource(options.chatTemplate);
    return languageModel(opened, tools, source);
  });
}

const headOf = ({ architecture: { heads } }: BaseModel): HeadOptions => ({
  kind: heads.includes('seq2seq-lm') ? 'seq2seq-lm' : 'causal-lm',
});

/** @throws PEFT_MODEL_HEAD for a predictor that writes no text */
async function openWriter(
  path: string,
  { revision, chatTemplate: _, alsoFor: __, ...options }: LanguageModelOptions,
  tools: OpeningTools,
): Promise<PredictorState> {
  if (revision !== undefined) throw revisionOfFolder(path, revision);
  const state = await openSaved(path, options, tools);
  if (writesTexts(state.task.name)) return state;
  disposeState(state);
  throw new PeftError(
    'PEFT_MODEL_HEAD',
    `predictor: ${path} was trained for ${state.task.name}, which writes no text.`,
    { hint: 'use it with peft predict, or give a language model' },
  );
}

function languageModel(
  { model, engine, base }: Pick<PredictorState, 'model' | 'engine' | 'base'>,
  { app, emit }: OpeningTools,
  template: string | undefined,
): LanguageModel {
  const own = textsOfBase(base, template);
  let isDisposed = false;
  return Object.freeze<LanguageModel>({
    ...own,
    model,
    config: base.config,
    adapter: model.activeAdapters[0],
    addAdapter: (name, folder) => addLanguageAdapter({ model, base, own }, app, name, folder, emit),
    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      model.dispose();
      engine.dispose();
      app.dispose();
    },
  });
}
