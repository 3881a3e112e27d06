/** `--revision`, `--vocabulary-size` and `--chat-template` of commands that use a model. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { withVocabularySize } from '@peft/core';
import { CHAT_TEMPLATES } from '@peft/data';
import { revisionOfFolder } from '@peft/hub';
import { positiveInteger } from './numbers.js';

export interface RevisionFlag {
  readonly revision?: string;
}

export const REVISION_FLAG = [
  '--revision <name>',
  'branch, tag or commit of the model on the hub, as in NAME@REVISION',
] as const;

export const addRevisionFlag = (command: Command): Command => command.option(...REVISION_FLAG);

/**
 * `NAME@REVISION` for what takes one text.
 * @throws PEFT_HUB_REVISION for a folder, which has none
 */
export function revised(model: string, { revision }: RevisionFlag): string {
  if (revision === undefined) return model;
  if (existsSync(model)) throw revisionOfFolder(model, revision);
  return `${model}@${revision}`;
}

export interface VocabularyFlag {
  readonly vocabularySize?: string;
}

export const addVocabularyFlag = (command: Command): Command =>
  command.option(
    '--vocabulary-size <tokens>',
    'rows of the word table, after tokens were added or padded; default: as the config has it',
  );

/**
 * The config with the number of tokens that was given.
 * @throws PEFT_OPTION_INVALID
 */
export const withVocabulary = (
  command: string,
  config: Readonly<Record<string, unknown>>,
  { vocabularySize }: VocabularyFlag,
): Readonly<Record<string, unknown>> =>
  vocabularySize === undefined
    ? config
    : withVocabularySize(config, positiveInteger(command, '--vocabulary-size', vocabularySize));

/** Chat templates that have a name. */
export const TEMPLATE_NAMES = Object.keys(CHAT_TEMPLATES).join(', ');

export const CHAT_TEMPLATE_FLAG = [
  '--chat-template <name>',
  `${TEMPLATE_NAMES} or a file; default: the checkpoint's own`,
] as const;
