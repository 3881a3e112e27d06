import { PeftError } from '@peft/errors';

const LARGEST = 65504;

/** That every value has a place in float16. @throws PEFT_EXPORT_RANGE */
export function requireFloat16(name: string, values: Float32Array): void {
  const found = values.find((value) => Math.abs(value) > LARGEST);
  if (found !== undefined)
    throw new PeftError(
      'PEFT_EXPORT_RANGE',
      `export: ${name} holds ${found}, and float16 ends at ${LARGEST}.`,
      { hint: 'export in another type' },
    );
}
