/** The one error of quantised tensors that are not what they say. */
import { PeftError } from '@peft/errors';

/** @param name the tensor's. */
export function partsError(name: string, problem: string): PeftError {
  return new PeftError('PEFT_QUANTIZED_PARTS', `hub: ${name}: ${problem}.`, {
    hint: 'the checkpoint is damaged, or was quantised in another way than its config says; fetch it again',
  });
}
