export { attentionPrefix, type AttentionPrefixConfig } from './attention-prefix.js';
export { embeddedPrompt, type EmbeddedPromptConfig } from './embedded-prompt.js';
export { prefixTuning, type PrefixTuningConfig } from './prefix-tuning.js';
export { promptTuning, type PromptTuningConfig } from './prompt-tuning.js';
export { pTuning, type PTuningConfig } from './p-tuning.js';
