export { beft, type BeftConfig } from './beft.js';
export { bitfit, type BitFitConfig } from './bitfit.js';
export { LN_TUNING_DEFAULT_TARGETS, lnTuning, type LnTuningConfig } from './ln-tuning.js';
