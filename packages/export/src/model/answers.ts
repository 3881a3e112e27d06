/** How a model that leaves is asked, and by which tokens its answers end. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ChatTemplate } from '@peft/data';
import { PeftError } from '@peft/errors';
import { textsOfBase, type SavedFields, type TrainedModel } from '@peft/predictor';

const FILE = 'generation_config.json';

/** The model's chat template; undefined for one that has none. */
export function chatTemplateOf({ base }: TrainedModel): ChatTemplate | undefined {
  try {
    return textsOfBase(base).chatTemplate();
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_CHAT_TEMPLATE_MISSING') return undefined;
    throw error;
  }
}

/**
 * Tokens that end an answer: those that the checkpoint names and, where it has a chat template, the
 * one that closes a turn.
 */
export function answerEndIds(source: TrainedModel): readonly number[] {
  const texts = textsOfBase(source.base);
  const ends = chatTemplateOf(source) ? texts.chatEnds() : texts.ends;
  return ends.endIds;
}

/**
 * `generation_config.json` where answers end by more tokens than the checkpoint says: tools that
 * generate read it, and none looks for the end of a turn in the template.
 */
export function generationFields(source: TrainedModel): SavedFields {
  const { base, model } = source;
  if (model.description.head.kind !== 'causal-lm') return {};
  const endIds = answerEndIds(source);
  if (endIds.length === textsOfBase(base).ends.endIds.length) return {};
  const isNew = !existsSync(join(base.filesFolder, FILE));
  const { bos_token_id, pad_token_id } = base.config;
  const others = isNew ? { bos_token_id, pad_token_id } : {};
  return { [FILE]: { ...others, eos_token_id: endIds } };
}
