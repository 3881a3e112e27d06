/** All policy losses by their names. */
import { dapoLoss } from './dapo.js';
import { drGrpoLoss } from './dr-grpo.js';
import { grpoLoss } from './grpo.js';
import type { PolicyLoss } from './policy-loss.js';

/** Every way in which sampled tokens count. */
export const POLICY_LOSSES: readonly PolicyLoss[] = Object.freeze([dapoLoss, grpoLoss, drGrpoLoss]);
