/** GRPO: every completion counts the same, (1/B)·Σ_b Σ_n ℓ_bn / |y_b| (Shao et al. 2024, eq. 3). */
import type { PolicyLoss } from './policy-loss.js';

export const grpoLoss: PolicyLoss = Object.freeze<PolicyLoss>({
  name: 'grpo',
  tokenWeight: (length) => 1 / length,
  count: (lengths) => lengths.length,
});
