import type { Engine } from '@peft/ops';
import { tinyModels, usePortableEngine } from '@peft/testing';
import { expect, test } from 'vitest';
import { lora } from '../lora.js';

let engine: Engine;
usePortableEngine((made) => (engine = made));

test.each(['pissa', 'pissa_niter_2', 'olora', 'loftq'] as const)(
  '%s refuses a rank above what a matrix has, and names the matrix',
  (init) => {
    const model = tinyModels()[0]!.open(engine);
    const rank = model.description.hiddenSize + 1;
    expect(() => model.addAdapter('a', lora({ rank, init, targets: ['query'] }))).toThrow(
      new RegExp(`init "${init}" takes ${rank} directions of .*query, which has ${rank - 1}`),
    );
    model.dispose();
  },
);
