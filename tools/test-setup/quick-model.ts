/**
 * Makes the model that fits of tests train: the quickstart's with one layer instead of three. It
 * lies in `node_modules/.cache/peft/quick-model`, where processes of tests find it, too.
 */
import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../packages.mjs';

const SOURCE = join(ROOT, 'examples/quickstart/model');
const QUICK_MODEL = join(ROOT, 'node_modules/.cache/peft/quick-model');

export default function makeQuickModel(): void {
  const config = JSON.parse(readFileSync(join(SOURCE, 'config.json'), 'utf8')) as object;
  const text = JSON.stringify({ ...config, num_hidden_layers: 1 });
  const weights = 'model.safetensors';
  const isThere =
    existsSync(join(QUICK_MODEL, 'config.json')) &&
    readFileSync(join(QUICK_MODEL, 'config.json'), 'utf8') === text &&
    statSync(join(QUICK_MODEL, weights)).mtimeMs >= statSync(join(SOURCE, weights)).mtimeMs;
  if (isThere) return;
  rmSync(QUICK_MODEL, { recursive: true, force: true });
  cpSync(SOURCE, QUICK_MODEL, { recursive: true });
  writeFileSync(join(QUICK_MODEL, 'config.json'), text);
}
