/** An adapter's strength. */
import { PeftError } from '@peft/errors';
import type { Adapter } from './adapter.js';

/**
 * Multiplies it at every site.
 * @throws PEFT_ADAPTER_SCALE when the adapter's methods have none, or the factor is no number
 */
export function rescale(adapter: Adapter, factor: number): void {
  const attached = [...adapter.attachments.values()].flat();
  const scales = attached.flatMap(({ attachment }) =>
    attachment && 'rescale' in attachment && attachment.rescale
      ? [attachment as { rescale(by: number): void }]
      : [],
  );
  if (!Number.isFinite(factor) || scales.length === 0) {
    throw new PeftError(
      'PEFT_ADAPTER_SCALE',
      Number.isFinite(factor)
        ? `adapter "${adapter.name}" has no strength to multiply.`
        : `an adapter's strength must be multiplied by a finite number, got ${factor}.`,
      { hint: 'LoRA and its relatives have one' },
    );
  }
  for (const attachment of scales) attachment.rescale(factor);
}
