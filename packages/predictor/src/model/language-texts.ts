/** How a language model turns conversations into tokens and tokens into texts. */
import { join } from 'node:path';
import {
  createChatTemplate,
  loadChatTemplate,
  turnEndIds,
  type ChatTemplate,
  type TextTokenizer,
} from '@peft/data';
import { PeftError } from '@peft/errors';
import { generationDefaults, samplingDefaults, type TextEnds } from '@peft/generation';
import { readJsonObject } from '@peft/hub';
import type { BaseModel } from './base-model.js';

/** What lies around a model that writes: its own, or that of an adapter which has its own. */
export interface LanguageTexts {
  readonly tokenizer: TextTokenizer;
  /** Tokens that a text may have: the model's rows beyond belong to other adapters. */
  readonly vocabularySize: number;
  /** Tokens that end a text, and those that the decoder of an encoder-decoder starts with. */
  readonly ends: TextEnds;
  /** How the checkpoint's makers draw tokens; empty where they say nothing. */
  readonly sampling: ReturnType<typeof samplingDefaults>;
  /** The one that was named, else the checkpoint's own. @throws PEFT_CHAT_TEMPLATE_MISSING */
  chatTemplate(): ChatTemplate;
  /** `ends` for an answer in a chat: the token that closes the template's turns ends it, too. */
  chatEnds(): LanguageTexts['ends'];
}

/**
 * How a base turns conversations into tokens and tokens into texts.
 * @param template Jinja text of a template. Default: the one that was named for the base, else its own
 */
export const textsOfBase = (
  { filesFolder, tokenizerFolder, config, tokenizer, vocabulary, chatTemplate }: BaseModel,
  template = chatTemplate,
): LanguageTexts =>
  languageTexts({
    folder: filesFolder,
    tokenizerFolder,
    config,
    tokenizer,
    vocabularySize: vocabulary.ownSize,
    template,
  });

/**
 * @param files.folder where tokenizer, chat template and `generation_config.json` lie
 * @param files.tokenizerFolder where tokenizer and chat template lie apart, beside an adapter
 * @param files.template Jinja text of a template that was named instead
 * @param files.fallback the template where the folder has none
 */
export function languageTexts({
  folder,
  tokenizerFolder = folder,
  config,
  tokenizer,
  vocabularySize,
  template,
  fallback,
}: {
  readonly folder: string;
  readonly tokenizerFolder?: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokenizer: TextTokenizer;
  readonly vocabularySize: number;
  readonly template: string | undefined;
  readonly fallback?: () => ChatTemplate;
}): LanguageTexts {
  const generationConfig = readJsonObject(join(folder, 'generation_config.json'));
  const ends = generationDefaults({ config, generationConfig, tokenizer });
  let known: ChatTemplate | undefined;
  const found = (): ChatTemplate => {
    if (template !== undefined) return createChatTemplate(template, tokenizer);
    try {
      return loadChatTemplate(tokenizerFolder, tokenizer);
    } catch (error) {
      const isMissing = error instanceof PeftError && error.code === 'PEFT_CHAT_TEMPLATE_MISSING';
      if (!isMissing || !fallback) throw error;
      return createChatTemplate(fallback().source, tokenizer);
    }
  };
  const chatTemplate = (): ChatTemplate => (known ??= found());
  return {
    tokenizer,
    vocabularySize,
    ends,
    chatTemplate,
    chatEnds: () => ({
      ...ends,
      endIds: [...new Set([...ends.endIds, ...turnEndIds(chatTemplate(), tokenizer)])],
    }),
    sampling: samplingDefaults(generationConfig),
  };
}
