/** The chat template of a predictor's base. */
import { createChatTemplate, loadChatTemplate, type ChatTemplate } from '@peft/data';
import type { BaseModel } from './base-model.js';

/** The template that was named, else the checkpoint's own. @throws PEFT_CHAT_TEMPLATE */
export const chatTemplateOf = ({
  base: { tokenizerFolder, tokenizer, chatTemplate },
}: {
  readonly base: Pick<BaseModel, 'tokenizerFolder' | 'tokenizer' | 'chatTemplate'>;
}): ChatTemplate =>
  chatTemplate === undefined
    ? loadChatTemplate(tokenizerFolder, tokenizer)
    : createChatTemplate(chatTemplate, tokenizer);
