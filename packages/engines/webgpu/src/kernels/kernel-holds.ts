/** What each operation's kernel holds beside its inputs and outputs. */
import type { EngineSizing } from '@peft/ops';

export const KERNEL_HOLDS: EngineSizing['kernels'] = Object.freeze({});
