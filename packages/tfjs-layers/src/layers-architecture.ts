/** What core takes a tfjs layers model for: one layer's call is one forward pass. */
import type { Tensor } from '@tensorflow/tfjs';
import { defineArchitecture, type ModelBatch, type ModelOutput, type ModelRun } from '@peft/core';
import { PeftError } from '@peft/errors';

/** One layer's part of a forward pass, for core to make a run of. */
export interface LayerBatch extends ModelBatch {
  readonly body: (run: ModelRun) => Tensor;
}

export const layersArchitecture = defineArchitecture({
  family: 'tfjs-layers',
  modelTypes: ['tfjs-layers'],
  heads: [],
  parseConfig: () => ({}),
  describe(): never {
    throw new PeftError('PEFT_MODEL_CONFIG', 'tfjs-layers: a layers model describes itself.');
  },
  forward: (run, _config, batch): ModelOutput => ({
    hidden: (batch as LayerBatch).body(run) as never, // of any rank: nobody reads rows of it
    offsets: batch.offsets,
  }),
});
