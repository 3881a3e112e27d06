/** `--revision` and `--vocabulary-size` of commands that look at a model. */
import type { Command } from 'commander';
import { withVocabularySize } from '@peft/core';
import { positiveInteger } from './numbers.js';

export interface RevisionFlag {
  readonly revision?: string;
}

export const addRevisionFlag = (command: Command): Command =>
  command.option(
    '--revision <name>',
    'branch, tag or commit of the model on the hub, as in NAME@REVISION',
  );

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
