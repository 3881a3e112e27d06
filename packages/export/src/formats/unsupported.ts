import { PeftError } from '@peft/errors';

/** What a format has no place for. */
export const unsupported = (target: string, what: string, hint: string): PeftError =>
  new PeftError('PEFT_EXPORT_UNSUPPORTED', `export: ${target} ${what}.`, { hint });
