/** Numbers of a command line. */
import { check, PeftError, show } from '@peft/errors';

/** What is no number stays text, so that an error shows what was typed. */
const numberOrText = (text: string): number | string =>
  text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);

/** @throws PEFT_OPTION_INVALID for what is no finite number */
export function finiteNumber(command: string, flag: string, text: string): number {
  const value = numberOrText(text);
  if (typeof value === 'string' || !Number.isFinite(value))
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `${command}: ${flag} must be a number, got ${show(text)}.`,
    );
  return value;
}

/** @throws PEFT_CONFIG_INVALID unless it is an integer > 0 */
export function positiveInteger(command: string, flag: string, text: string): number {
  const value = numberOrText(text);
  check.positiveInteger(command, flag, value);
  return value;
}

/** @throws PEFT_CONFIG_INVALID unless it is an integer >= 0 */
export function nonNegativeInteger(command: string, flag: string, text: string): number {
  const value = numberOrText(text);
  check.nonNegativeInteger(command, flag, value);
  return value;
}

/** @throws PEFT_CONFIG_INVALID unless it is a number > 0 */
export function positiveNumber(command: string, flag: string, text: string): number {
  const value = numberOrText(text);
  check.positive(command, flag, value);
  return value;
}
