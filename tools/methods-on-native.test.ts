/** Every method's contract with its default options on the native engine; its own package runs the rest on the portable one. */
import { adalora } from '@peft/adalora';
import { bitfit, lnTuning } from '@peft/bitfit';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { loha, lokr } from '@peft/lycoris';
import { oft } from '@peft/oft';
import type { Engine } from '@peft/ops';
import { describePeftMethod } from '@peft/testing';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';
import { describe } from 'vitest';
import { openEngine } from './golden/engines.js';

let reason: string | undefined;
await openEngine('native').then(
  (engine) => engine.dispose(),
  (error: Error) => (reason = error.message.split('\n')[0]),
);

const options = { createEngine: (): Promise<Engine> => openEngine('native') };
const title = 'by default';

describe.skipIf(reason !== undefined)(reason === undefined ? 'on the native engine' : `on the native engine (skipped: ${reason})`, () => {
  describePeftMethod(lora, [{ title, options: { rank: 3 } }, { title: 'with DoRA', options: { rank: 3, dora: true, targets: 'all-linear' }, exactGradient: false }], options);
  describePeftMethod(ia3, [{ title }], options);
  describePeftMethod(bitfit, [{ title, options: { norms: 'layer' }, on: ['encoder'], withoutGradient: /key\.bias$/ }], options);
  describePeftMethod(lnTuning, [{ title }], options);
  describePeftMethod(adalora, [{ title, options: { initialRank: 3, targetRank: 2, totalSteps: 10 } }], options);
  describePeftMethod(vera, [{ title, options: { rank: 4 } }], options);
  describePeftMethod(loha, [{ title, options: { rank: 2 } }], options);
  describePeftMethod(lokr, [{ title, options: { rank: 2 } }], options);
  describePeftMethod(oft, [{ title, options: { blockSize: 4 } }], options);
  describePeftMethod(trainableTokens, [{ title, options: { tokenIndices: [6, 3, 13] } }], options);
});
