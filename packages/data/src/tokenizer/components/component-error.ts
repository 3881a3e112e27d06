/** Errors about the parts of a tokenizer file. */
import { PeftError, show } from '@peft/errors';

/**
 * Says which component cannot be run.
 * @returns the error for a component that this package cannot run.
 */
export function unsupportedComponent(part: string, type: unknown): PeftError {
  return new PeftError(
    'PEFT_TOKENIZER_UNSUPPORTED',
    `data: the tokenizer's ${part} ${show(type)} is not supported.`,
    {
      hint:
        'Use a checkpoint whose tokenizer.json was written by the Hugging Face tokenizers library' +
        ' with a standard pipeline.',
    },
  );
}

/**
 * Says what makes no sense in a tokenizer file.
 * @returns the error for a tokenizer file whose content makes no sense.
 */
export function invalidTokenizer(what: string, cause?: unknown): PeftError {
  return new PeftError('PEFT_TOKENIZER_INVALID', `data: ${what}`, {
    hint: 'Download the tokenizer files again.',
    cause,
  });
}
