/** What a failing call says. */
import { PeftError } from '@peft/errors';

/** The code of the PeftError that `act` throws; anything else it does is an error of the test. */
export async function errorCode(act: () => unknown): Promise<string> {
  return (await errorOf(act)).code;
}

export async function errorOf(act: () => unknown): Promise<PeftError> {
  try {
    await act();
  } catch (error) {
    if (error instanceof PeftError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
