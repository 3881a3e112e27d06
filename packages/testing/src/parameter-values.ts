/** All values of a model, to be compared. */
import type { Model } from '@peft/core';

/** @param read which values: the base's own, those in force, or those with adapters folded in. */
export const parameterValues = (
  model: Model,
  read: 'readBaseParameter' | 'readParameter' | 'readFoldedParameter',
): number[][] =>
  model.description.parameters.map(({ name }) => {
    const tensor = model[read](name);
    const values = [...tensor.dataSync()];
    tensor.dispose();
    return values;
  });

/** What `readFoldedParameter` gives, read in pieces of so many values. */
export const foldedInPieces = (model: Model, most: number): number[][] =>
  model.description.parameters.map(({ name }) =>
    [...model.readFoldedRows(name, most)].flatMap((piece) => {
      const values = [...piece.dataSync()];
      piece.dispose();
      return values;
    }),
  );
