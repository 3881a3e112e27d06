/** All kernels of the backend. */
import { registerAttention } from './attention/attention.js';
import { registerAdamW } from './fused/adamw.js';
import { registerActivations } from './fused/activations.js';
import { registerNorms } from './fused/norms.js';
import { registerRowKernels } from './fused/rows.js';
import { registerArithmetic } from './plain/arithmetic.js';
import { registerReductions } from './plain/reductions.js';
import { registerRows } from './plain/rows.js';
import { registerTopK } from './plain/top-k.js';
import { registerViews } from './plain/views.js';
import { registerProducts } from './products/matrix-product.js';

/** Registers them, once in a process. */
export function registerKernels(): void {
  registerArithmetic();
  registerReductions();
  registerViews();
  registerRows();
  registerTopK();
  registerProducts();
  registerActivations();
  registerNorms();
  registerRowKernels();
  registerAdamW();
  registerAttention();
}
