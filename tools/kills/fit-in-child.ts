/**
 * A small fit in a process of its own, to be killed: `fit-in-child.ts FOLDER`. Resumes what is in
 * the folder. Says `ready` when its modules are loaded, `trained` when the training is over.
 */
import { fileURLToPath } from 'node:url';
import { PeftError } from '@peft/errors';
import { PeftPredictor } from '@peft/predictor';

const MODEL = fileURLToPath(new URL('../../node_modules/.cache/peft/quick-model', import.meta.url));
const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const WORDS = ['goal match team coach', 'doctor nurse virus clinic'];
const rows = Array.from({ length: 32 }, (_, i) => ({
  topic: ['sports', 'health'][i % 2]!,
  text: `${WORDS[i % 2]!.split(' ')[(i >> 1) % 4]!} number ${i}`,
}));

say('ready');
const predictor = new PeftPredictor({
  label: 'topic',
  path: process.argv[2]!,
  evalMetric: 'log_loss',
  hyperparameters: {
    'model.hf_text.checkpoint_name': MODEL,
    'model.hf_text.max_text_len': 16,
    'optim.peft': 'ia3_bias',
    'optim.lr': 1e-2,
    'optim.max_epochs': 3,
    'optim.val_check_interval': 0.5,
    'env.batch_size': 8,
    'env.per_gpu_batch_size': 4,
    'env.engine': 'portable',
  },
});
predictor.listen(({ type }) => type === 'run/ended' && say('trained'));
try {
  await predictor.fit(rows, { resume: true });
} catch (error) {
  // killed after the last file was in its place
  if (!(error instanceof PeftError && error.code === 'PEFT_RUN_COMPLETE')) throw error;
}
predictor.dispose();
