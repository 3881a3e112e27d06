/**
 * AutoGluon: small fits (losses, gradient norms, learning rates of every group, trained tensors,
 * logits), and in the folder above them the counts of real-size models and the layer ids of small
 * ones.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { GoldenContext, GoldenResult } from '../golden-case.js';
import { checkFit } from './autogluon/check-fit.js';
import { checkTables } from './autogluon/check-tables.js';

/** Checks one fit, or `counts.json` and `layer_ids.json` of the section's own folder. */
export async function check(folder: string, context: GoldenContext): Promise<GoldenResult> {
  return existsSync(join(folder, 'case.json'))
    ? checkFit(folder, context)
    : checkTables(folder, context);
}
