export { adaptionPrompt, type AdaptionPromptConfig } from './adaption-prompt.js';
export { cartridge, type CartridgeConfig } from './cartridge.js';
export { cpt, type CptConfig } from './cpt.js';
export { attentionPrefix, type AttentionPrefixConfig } from './attention-prefix.js';
export { embeddedPrompt, type EmbeddedPromptConfig } from './embedded-prompt.js';
export {
  multitaskPromptTuning,
  type MultitaskPromptConfig,
  type SourcePrompt,
} from './multitask-prompt-tuning.js';
export { prefixTuning, type PrefixTuningConfig } from './prefix-tuning.js';
export { promptTuning, type PromptTuningConfig } from './prompt-tuning.js';
export { pTuning, type PTuningConfig } from './p-tuning.js';
