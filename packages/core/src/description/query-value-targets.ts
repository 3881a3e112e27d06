/** What LoRA and its relatives take by default. */
import type { ModelDescription } from './model-description.js';
import type { TargetSelection } from './target-selection.js';

/**
 * The query and value projections: PEFT's names where the family says them, else the roles, fused
 * projections among them.
 */
export const queryValueTargets = ({
  conventions,
}: Pick<ModelDescription, 'conventions'>): TargetSelection => ({
  targets: conventions?.queryValueTargets ?? {
    roles: [
      'attention.query',
      'attention.value',
      'attention.query_key_value',
      'cross.attention.query',
      'cross.attention.value',
    ],
  },
});
