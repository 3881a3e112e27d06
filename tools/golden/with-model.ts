import type { Model } from '@peft/core';

/** Opens a model for the time of `body`. */
export async function withModel(
  open: () => Model,
  body: (model: Model) => Promise<void>,
): Promise<void> {
  const model = open();
  try {
    await body(model);
  } finally {
    model.dispose();
  }
}
