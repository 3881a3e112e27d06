/** Prompts that start as the embeddings of a text: their options, and the rows. */
import type { Initializer, SiteHandle } from '@peft/core';
import { check, PeftError, show } from '@peft/errors';

/** What of a prompt's options says the text. */
export interface TextStart {
  readonly init: string;
  readonly initText?: string | undefined;
  readonly initTokenIds?: readonly number[] | undefined;
  /** Values come from a file. */
  readonly isLoaded: boolean;
}

/** @param owner the method, for messages. @throws PEFT_CONFIG_INVALID */
export function checkTextStart(
  owner: string,
  { init, initText, initTokenIds, isLoaded }: TextStart,
): void {
  check.boolean(owner, 'isLoaded', isLoaded);
  if (initText !== undefined) check.string(owner, 'initText', initText);
  const isList =
    Array.isArray(initTokenIds) &&
    initTokenIds.length > 0 &&
    initTokenIds.every((id) => Number.isInteger(id) && id >= 0);
  if (initTokenIds !== undefined && !isList)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: initTokenIds must be a list of at least one token id, got ${show(initTokenIds)}.`,
    );
  if (init === 'text' && !initTokenIds && !isLoaded)
    throw new PeftError('PEFT_CONFIG_INVALID', `${owner}: init 'text' needs initTokenIds.`, {
      hint: 'pass the ids that the tokenizer makes of the text: initTokenIds: tokenizer.encode(text).ids',
    });
}

/** The base's embeddings of the p-th tokens, p from 0 `[P, D]`. */
export const embeddingsOf =
  (
    site: SiteHandle<'sequence'>,
    idAt: (p: number, key: Parameters<Initializer>[1]) => number,
  ): Initializer =>
  (shape, key) => {
    const rows = site.baseRows(Int32Array.from({ length: shape[0]! }, (_, p) => idAt(p, key)));
    const values = Float32Array.from(rows.dataSync()); // once, while attaching
    rows.dispose();
    return values;
  };
