import { PeftError } from '@peft/errors';

/** A file that is not what it says. */
export const invalidGguf = (path: string, what: string): PeftError =>
  new PeftError('PEFT_GGUF_INVALID', `gguf: ${path}: ${what}.`, {
    hint: 'the file is damaged or no GGUF file: fetch it again',
  });
