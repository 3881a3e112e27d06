/** A further adapter for a language model that is in use: PEFT's layout, or a folder of `fit`. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadAdapter, type App, type Model } from '@peft/core';
import { hasTokenizer, loadTokenizer } from '@peft/data';
import { PeftError } from '@peft/errors';
import { adapterPlaces } from '../fit/start-adapter.js';
import { readRecord } from '../folder/read-record.js';
import { RECORD_FILE } from '../folder/predictor-folder.js';
import { ADAPTER_METHODS } from '../predictor-module.js';
import { writesTexts } from '../tasks/task-names.js';
import type { BaseModel, EventBody } from './base-model.js';
import { requireTrainedValues } from './trained-values.js';
import { languageTexts, type LanguageTexts } from './language-texts.js';
import { adapterTokens } from './vocabulary.js';

/**
 * Puts the adapter of a folder on the model.
 * @returns how its texts are written: by its own tokenizer and template where the folder has them,
 *   else by `own`
 * @throws PEFT_ADAPTER_MISMATCH when it was trained on other weights or for another task, or has tokens
 *   that the model has no rows for, and what
 *   `loadAdapter` throws; the model is as before then
 */
export async function addLanguageAdapter(
  {
    model,
    base,
    own,
  }: { readonly model: Model; readonly base: BaseModel; readonly own: LanguageTexts },
  app: App,
  name: string,
  folder: string,
  emit: (event: EventBody) => void,
): Promise<LanguageTexts> {
  if (existsSync(join(folder, RECORD_FILE))) refuseOther(folder, base);
  const places = adapterPlaces(folder);
  const isOwn = hasTokenizer(places.tokenizer);
  const tokenizer = isOwn
    ? loadTokenizer(places.tokenizer, { modelType: String(base.config['model_type']) })
    : own.tokenizer;
  const { stored } = base.vocabulary;
  const vocabularySize =
    adapterTokens(places.adapter, { ...model.description, vocabularySize: stored }, tokenizer) ??
    stored;
  if (vocabularySize > model.description.vocabularySize)
    throw new PeftError(
      'PEFT_ADAPTER_MISMATCH',
      `predictor: the adapter in ${resolve(folder)} is for ${vocabularySize} tokens, and the model was ` +
        `loaded with rows for ${model.description.vocabularySize}.`,
      { hint: 'name the adapter when the model is loaded (alsoFor; peft serve: --adapter)' },
    );
  requireTrainedValues(model, places.adapter, app);
  const { warnings } = await loadAdapter(model, places.adapter, {
    name,
    methods: app.get(ADAPTER_METHODS),
  });
  for (const message of warnings)
    emit({ type: 'run/warned', code: 'PEFT_ADAPTER_CONFIG', message });
  if (!isOwn) return { ...own, vocabularySize };
  const hasDefaults = existsSync(join(places.tokenizer, 'generation_config.json'));
  return languageTexts({
    folder: hasDefaults ? places.tokenizer : base.filesFolder,
    tokenizerFolder: places.tokenizer,
    config: base.config,
    tokenizer,
    vocabularySize,
    template: undefined,
    fallback: own.chatTemplate,
  });
}

/** @throws PEFT_ADAPTER_MISMATCH for what was trained on other weights or writes no text */
function refuseOther(folder: string, base: BaseModel): void {
  const record = readRecord(folder);
  if (record.base.fingerprint !== base.fingerprint)
    throw new PeftError(
      'PEFT_ADAPTER_MISMATCH',
      `predictor: ${resolve(folder)} was trained on ${record.base.reference}, whose weights are not those of ${base.reference}.`,
      { hint: 'load it beside the model that it was trained on' },
    );
  const { name } = record.task;
  if (!writesTexts(name))
    throw new PeftError(
      'PEFT_ADAPTER_MISMATCH',
      `predictor: ${resolve(folder)} was trained for ${name}, which writes no text.`,
      { hint: 'load it as a model of its own' },
    );
}
