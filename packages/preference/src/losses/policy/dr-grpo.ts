/** Dr. GRPO: Σ_n ℓ_n / (B·L), L being the most tokens that a completion may have (Liu et al. 2025). */
import type { PolicyLoss } from './policy-loss.js';

export const drGrpoLoss: PolicyLoss = Object.freeze<PolicyLoss>({
  name: 'dr_grpo',
  tokenWeight: () => 1,
  count: (lengths, maxNewTokens) => lengths.length * maxNewTokens,
});
