/** DAPO: every token of a step counts the same, Σ_n ℓ_n / N (Yu et al. 2025). */
import type { PolicyLoss } from './policy-loss.js';

export const dapoLoss: PolicyLoss = Object.freeze<PolicyLoss>({
  name: 'dapo',
  tokenWeight: () => 1,
  count: (lengths) => lengths.reduce((sum, length) => sum + length, 0),
});
