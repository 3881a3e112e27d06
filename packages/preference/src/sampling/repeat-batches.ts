/** Several optimiser steps on the same prompts, one after another: what `updates` of GRPO needs. */
import { check } from '@peft/errors';
import type { BatchOrder } from '@peft/trainer';

/**
 * Each batch of an order `updates` times in a row.
 * @throws PEFT_CONFIG_INVALID
 */
export function repeatBatches(order: BatchOrder, updates: number): BatchOrder {
  check.positiveInteger('preference', 'updates', updates);
  if (updates === 1) return order;
  return {
    settings: { ...order.settings, updates },
    batches: (epoch) =>
      order.batches(epoch).flatMap((batch) => Array.from({ length: updates }, () => batch)),
  };
}
